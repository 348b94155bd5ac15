"""Ids and entries of a Redis stream, as redis-py gives them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import orjson

_ID = re.compile(r"(\d{1,20})-(\d{1,20})", re.ASCII)
# What an entry takes in memory beside its bytes.
_ENTRY_BYTES = 200


@dataclass(frozen=True, order=True)
class EntryId:
    """Milliseconds and number, ordered as Redis orders them."""

    ms: int = 0
    number: int = 0

    def __str__(self) -> str:
        return f"{self.ms}-{self.number}"

    @classmethod
    def parse(cls, text: str | bytes) -> "EntryId | None":
        """The id, or none where the text is not one."""
        match = _ID.fullmatch(text.decode(errors="replace") if isinstance(text, bytes) else text)
        return None if match is None else cls(int(match[1]), int(match[2]))

    @classmethod
    def of(cls, text: object) -> "EntryId":
        """An id from the server."""
        found = cls.parse(text) if isinstance(text, str | bytes) else None
        if found is None:
            raise ValueError(f"no entry id: {text!r}")
        return found


START = EntryId()


@dataclass(frozen=True)
class Entry:
    """One entry: its id and the message in it."""

    id: EntryId
    data: bytes

    @property
    def size(self) -> int:
        """Bytes in memory, about."""
        return len(self.data) + _ENTRY_BYTES


def entries_of(reply: object, field: bytes) -> list[Entry]:
    """Entries of an XRANGE reply; deleted ones are left out.

    An entry without the field gives all its fields as JSON, which the parser turns down.
    """
    rows = cast("Sequence[tuple[bytes | None, Mapping[bytes, bytes] | None]]", reply or ())
    return [
        Entry(EntryId.of(key), _message(fields, field))
        for key, fields in rows
        if key is not None and fields is not None
    ]


def group_entries_of(reply: object, field: bytes) -> list[Entry]:
    """Entries of an XREADGROUP reply on one stream, in either protocol version."""
    if not reply:
        return []
    if isinstance(reply, Mapping):
        (rows,) = cast("Mapping[bytes, Any]", reply).values()
    else:
        ((_, rows),) = cast("Sequence[tuple[bytes, Any]]", reply)
    return entries_of(rows, field)


def _message(fields: Mapping[bytes, bytes], field: bytes) -> bytes:
    value = fields.get(field)
    if value is None:
        return orjson.dumps({_text(key): _text(value) for key, value in fields.items()})
    # JSON has no line break within a string, so one between tokens may become a space.
    return value.replace(b"\n", b" ") if b"\n" in value else value


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")
