"""The word lists of `words.yaml`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

_LISTS: dict[str, Any] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8"))

TOPICS: Mapping[str, Mapping[str, Sequence[str]]] = _LISTS.pop("topics")
"""What a session may be about: words by slot."""

LISTS: Mapping[str, Sequence[str]] = {name.upper(): words for name, words in _LISTS.items()}
"""All other lists by name: the slots that are the same for everybody."""
