"""Refused lines that were erased stay erased when the log is read again.

A dead letter's id holds the reason, and the reason rests on the limits and the format that the
log is read with. So a line is known by its content too, and by the message that it is.
"""

import codecs
import json
import re
from collections.abc import Collection, Iterator

import orjson
import pyarrow as pa

from operators.parse.base import as_object, encode_json
from schemas.message import DEFAULT_TENANT
from schemas.tombstones import dead_letter_tombstone, line_tombstone, tombstone_id

_KEY = re.compile(r'\s*[{,]\s*("(?:[^"\\]|\\.)*")\s*:\s*')
_DECODER = json.JSONDecoder(strict=False)
_COLUMNS = ["dead_letter_id", "raw", "tenant"]


def without_erased(dead_letters: pa.Table, tombstones: Collection[str]) -> pa.Table:
    """Refused lines that have not been erased, nor are a message that has been."""
    if not tombstones:
        return dead_letters
    rows = dead_letters.select(_COLUMNS).to_pylist()
    keep = [not any(mark in tombstones for mark in _marks(**row)) for row in rows]
    return dead_letters.filter(pa.array(keep, pa.bool_()))


def line_mark(raw: bytes) -> str | None:
    """Tombstone of a refused line, however its JSON is written; None for an empty one.

    Formats other than JSONL write an item anew before they refuse it.
    """
    line = raw.removeprefix(codecs.BOM_UTF8).strip()
    if not line:
        return None
    try:
        return line_tombstone(encode_json(orjson.loads(line)))
    except orjson.JSONDecodeError:
        return line_tombstone(line)


def _marks(*, dead_letter_id: str, raw: bytes, tenant: str | None) -> Iterator[str]:
    yield dead_letter_tombstone(dead_letter_id)
    if (line := line_mark(raw)) is not None:
        yield line
    fields = _fields(raw)
    ids = (fields.get("conversation_id"), fields.get("message_id"))
    owner = tenant or fields.get("tenant") or DEFAULT_TENANT
    if isinstance(owner, str) and isinstance(ids[0], str) and isinstance(ids[1], str):
        yield tombstone_id(owner, ids[0], ids[1])


def _fields(raw: bytes) -> dict[str, object]:
    """Fields of a JSON object; of one that is cut or broken, those before that place.

    A dead letter holds the head of a long line, and a log may end inside one.
    """
    try:
        return as_object(orjson.loads(raw)) or {}
    except orjson.JSONDecodeError:
        pass
    text = raw.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace")
    fields: dict[str, object] = {}
    at = 0
    while (key := _KEY.match(text, at)) is not None:
        try:
            name = _DECODER.decode(key[1])
            fields[name], at = _DECODER.raw_decode(text, key.end())
        except (ValueError, RecursionError):
            break
    return fields
