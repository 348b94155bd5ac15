"""Prompts: files with a version, and the form of the answer they ask for.

A prompt file `operators/llm/prompts/NAME.md` begins with a line `version: N`; the rest is
the system message, sent as it stands. Raise the version when answers must be asked for
again; a changed text or answer form does that by itself.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from pydantic import BaseModel

from schemas.ids import content_hash

_FOLDER = Path(__file__).parent / "prompts"

Output = TypeVar("Output", bound=BaseModel)


@dataclass(frozen=True)
class Prompt(Generic[Output]):
    """Instructions and the form of the answer.

    Attributes:
        name: of the file, without `.md`.
        output: pydantic model of the answer; strings and lists must be bounded, or small
            models never end.
        max_tokens: longest answer, in tokens.
    """

    name: str
    output: type[Output]
    max_tokens: int

    @cached_property
    def _file(self) -> tuple[int, str]:
        text = (_FOLDER / f"{self.name}.md").read_text(encoding="utf-8")
        first, _, body = text.partition("\n")
        label, _, number = first.partition(":")
        if label.strip() != "version" or not number.strip().isdigit():
            raise ValueError(f"prompt {self.name}.md must begin with a line `version: N`")
        return int(number), body.strip()

    @property
    def version(self) -> int:
        """Of the prompt file."""
        return self._file[0]

    @property
    def system(self) -> str:
        """The instructions: the system message."""
        return self._file[1]

    @cached_property
    def schema(self) -> str:
        """JSON schema of the answer; its properties in the order in which they are generated."""
        return json.dumps(_form(self.output.model_json_schema()), separators=(",", ":"))

    @cached_property
    def identity(self) -> str:
        """`name@version:hash` over text, form and length of the answer."""
        hashed = content_hash("prompt", self.system, self.schema, self.max_tokens)
        return f"{self.name}@{self.version}:{hashed[:12]}"


_NAMED = ("properties", "$defs")  # Keywords whose keys are names, not keywords.


def _form(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without titles and docstrings: they bind no engine, and change by themselves."""
    kept = {key: value for key, value in schema.items() if key not in ("title", "description")}
    return {
        key: {name: _form(cast("dict[str, Any]", part)) for name, part in value.items()}
        if key in _NAMED
        else _part(value)
        for key, value in kept.items()
    }


def _part(value: Any) -> Any:
    if isinstance(value, dict):
        return _form(cast("dict[str, Any]", value))
    if isinstance(value, list):
        return [_part(item) for item in cast("list[Any]", value)]
    return value
