"""The form of a JSON answer that a prompt describes in words: by its schema or its examples."""

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

_DEFAULT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "facts": {"type": "array", "items": {"type": "string"}},
        "memory": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "id": {"type": "string"},
                    "text": {"type": "string"},
                    "event": {"const": "ADD"},
                },
            },
        },
    },
}
_SCALARS: dict[type[Any], str] = {bool: "boolean", int: "integer", float: "number"}
_DECODER = json.JSONDecoder()


def guessed_schema(turns: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """A schema found in the prompt, else one of its longest example, else facts and memories.

    The system message is looked at first, then the other turns.
    """
    for _, text in sorted(turns, key=lambda turn: turn[0] != "system"):
        if found := _of_text(text):
            return found
    return _DEFAULT


@lru_cache(256)
def _of_text(text: str) -> dict[str, Any] | None:
    objects = list(_objects(text))
    schemas = [one for one in objects if isinstance(one.get("properties"), dict)]
    if schemas:
        return max(schemas, key=lambda one: len(json.dumps(one)))
    examples = [one for one in objects if one]
    if not examples:
        return None
    return _like(max(examples, key=lambda one: len(json.dumps(one))))


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """JSON objects in a text, outermost ones only."""
    at = text.find("{")
    while at >= 0:
        try:
            found, end = _DECODER.raw_decode(text, at)
        except ValueError:
            found, end = None, at + 1
        if isinstance(found, dict):
            yield found
        at = text.find("{", end)


def _like(example: Any) -> dict[str, Any]:
    """A schema of things like the example; a word in capitals is taken as the only choice."""
    if isinstance(example, dict):
        inner = {str(name): _like(value) for name, value in example.items()}
        return {"type": "object", "properties": inner}
    if isinstance(example, list):
        return {"type": "array", "items": _like(example[0] if example else "")}
    if isinstance(example, str) and example.isupper() and example.isalpha():
        return {"const": example}
    return {"type": _SCALARS.get(type(example), "string")}
