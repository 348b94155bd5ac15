"""The net under all logging: values of environment variables that look like secrets are masked.

Nothing of ours logs a key or a password on purpose. An error message of a library may quote one.
"""

import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

MASK = "***"
_NAMES = re.compile(
    r"(_KEY|APIKEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|_PASS|_PWD?|_CREDENTIALS?)$",
    re.IGNORECASE,
)
_SHORTEST = 6
"""Shorter values (`1`, `true`) are words of any text, and no secrets."""


def secrets_of(environment: Mapping[str, str]) -> list[str]:
    """What must not be shown, as it is and as an address quotes it; the longest first."""
    found = {v for k, v in environment.items() if _NAMES.search(k) and len(v) >= _SHORTEST}
    return sorted(found | {quote(value, safe="") for value in found}, key=len, reverse=True)


def mask(text: str) -> str:
    """`text` without the secrets of the environment; looks the environment up each time."""
    for secret in secrets_of(os.environ):
        text = text.replace(secret, MASK)
    return text


def masked(value: Any) -> Any:
    """The same for every string in lists and dictionaries."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, Mapping):
        return {masked(key): masked(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [masked(item) for item in value]
    return value
