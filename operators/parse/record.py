"""The authority on what a good input message is: `Message`, strictly, with reasons.

The JSONL fast path may only accept what `validate_record` accepts, with equal values.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ConfigDict, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from operators.parse.base import ParseLimits
from operators.parse.timestamps import TimestampError, parse_timestamp
from schemas.inert_text import inert
from schemas.message import MAX_ID_CHARS, Message, canonical_json

MAX_JSON_DEPTH = 128
# Fields with a default: null in the input means "not given", as exporters write it.
NULLABLE = ("session_id", "seq", "revision", "role", "tenant", "attachments", "metadata")

_REASONS = {
    "missing": "missing_field",
    "string_too_long": "id_too_long",
    "string_too_short": "empty_field",
    "string_type": "wrong_type",
    "int_type": "wrong_type",
    "int_from_float": "wrong_type",
    "list_type": "wrong_type",
    "dict_type": "wrong_type",
}
_OWN_REASONS = ("wrong_type", "bad_timestamp", "no_time_zone", "text_too_long", "bad_value")


@dataclass(frozen=True)
class Refusal:
    """Why a line is refused: a reason for machines, a sentence for people."""

    reason: str
    detail: str


class InputMessage(Message):
    """`Message` as input must write it: JSON types are not coerced, times are RFC 3339.

    U+0000 becomes U+FFFD in `text` and is refused elsewhere: SQL catalogs cannot carry it. Words
    that DuckLake takes for its own are broken by an invisible character: see `inert`.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    @field_validator("timestamp", mode="before")
    @classmethod
    def _parse_time(cls, value: object) -> datetime:
        if not isinstance(value, str):
            message = "must be an RFC 3339 string: write it like 2024-05-31T18:00:00Z"
            raise PydanticCustomError("wrong_type", message)
        try:
            return parse_timestamp(value)
        except TimestampError as error:
            raise PydanticCustomError(error.reason, "{why}", {"why": error.detail}) from error  # pyright: ignore[reportArgumentType] pydantic wants a literal, the reasons are ours

    @field_validator("text")
    @classmethod
    def _bound_text(cls, value: str, info: ValidationInfo) -> str:
        limits = info.context or ParseLimits()
        if len(value) > limits.max_text_chars:
            raise PydanticCustomError(
                "text_too_long",
                "has {n} characters, the limit is {limit}: split the message or raise the limit",
                {"n": len(value), "limit": limits.max_text_chars},
            )
        return inert(value.replace("\0", "\ufffd"))

    @field_validator("conversation_id", "message_id", "speaker", "session_id", "role", "tenant")
    @classmethod
    def _refuse_nul(cls, value: str | None) -> str | None:
        if value is not None and "\0" in value:
            raise PydanticCustomError("bad_value", "contains U+0000: remove it")
        return None if value is None else inert(value)

    @field_validator("attachments", "metadata")
    @classmethod
    def _bound_depth(cls, value: Any) -> Any:
        if deeper_than(value, MAX_JSON_DEPTH):
            raise PydanticCustomError(
                "bad_value",
                "is nested deeper than {limit} levels: flatten it",
                {"limit": MAX_JSON_DEPTH},
            )
        return _inert_json(value)


def validate_record(record: Mapping[str, object], limits: ParseLimits) -> InputMessage | Refusal:
    """The message that `record` is, or why it is none.

    The reason is that of the first bad field in the order of the contract; the detail
    names every bad field.
    """
    given = {k: v for k, v in record.items() if v is not None or k not in NULLABLE}
    try:
        return InputMessage.model_validate(given, context=limits)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False)
        detail = "; ".join(_sentence(e) for e in errors)
        return Refusal(_reason(errors[0]), detail)


def _reason(error: ErrorDetails) -> str:
    kind = error["type"]
    return kind if kind in _OWN_REASONS else _REASONS.get(kind, "bad_value")


def _sentence(error: ErrorDetails) -> str:
    name = ".".join(str(part) for part in error["loc"])
    kind = error["type"]
    if kind == "missing":
        return f'{name} is missing: add "{name}" to the line'
    if kind == "string_too_short":
        return f"{name} is empty: give it a value or leave the message out"
    if kind == "string_too_long":
        return f"{name} is longer than {MAX_ID_CHARS} characters: shorten it"
    if kind in _OWN_REASONS:
        return f"{name} {error['msg']}"
    return f"{name}: {error['msg'][:1].lower()}{error['msg'][1:]}"


def _inert_json(value: Any) -> Any:
    written = canonical_json(value)
    if written is None or inert(written) == written:
        return value
    return json.loads(inert(written))


def deeper_than(value: object, limit: int) -> bool:
    """Whether JSON is nested deeper than `limit`; level by level, so never recursive."""
    level: list[object] = [value]
    for _ in range(limit + 1):
        below: list[object] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
        if not below:
            return False
        level = below
    return any(isinstance(item, dict | list) for item in level)
