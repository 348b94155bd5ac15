"""Collects accepted messages and dead letters, and turns them into tables."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from operators.parse.base import MAX_RAW_BYTES, READ_STEP, Parsed
from schemas.ids import content_id
from schemas.tables import TABLES, TIMESTAMP

# (tenant, conversation_id, message_id, content_hash, revision, speaker, role, timestamp,
#  seq, text, given_session_id, attachments, metadata)
MessageRow = tuple[object, ...]
_ROW_COLUMNS = (
    "tenant",
    "conversation_id",
    "message_id",
    "content_hash",
    "revision",
    "speaker",
    "role",
    "timestamp",
    "seq",
    "text",
    "given_session_id",
    "attachments",
    "metadata",
)


@dataclass(frozen=True)
class CutInput:
    """The first bytes of an input, its full size, and the SHA-256 of all of it."""

    head: bytes
    size: int
    sha256: bytes


class RowCollector:
    """Rows and counters of one block of one source."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._rows: list[MessageRow] = []
        self._dead: dict[str, tuple[object, ...]] = {}
        self._counters: Counter[str] = Counter()

    def accept(self, row: MessageRow) -> None:
        """Take one message, its values in the order of `_ROW_COLUMNS`."""
        self._rows.append(row)

    def skip(self, why: str) -> None:
        """Count one input that is no message by intention."""
        self._counters["filtered"] += 1
        self._counters[f"filtered.{why}"] += 1

    def refuse(
        self, offset: int, raw: bytes, reason: str, detail: str, tenant: str | None = None
    ) -> None:
        """Keep one input that cannot be used."""
        digest = hashlib.sha256(raw).digest() if len(raw) > MAX_RAW_BYTES else b""
        cut = CutInput(raw[:MAX_RAW_BYTES], len(raw), digest)
        self.refuse_cut(offset, cut, reason, detail, tenant)

    def refuse_cut(
        self, offset: int, cut: CutInput, reason: str, detail: str, tenant: str | None = None
    ) -> None:
        """Keep the head of an input that cannot be used; its digest names the whole."""
        key = cut.head
        if cut.size > len(cut.head):
            detail += f" (raw holds the first {len(cut.head)} of {cut.size} bytes)"
            key = cut.sha256
        dead_id = content_id("dead", READ_STEP, reason, key)
        row = (dead_id, READ_STEP, reason, detail, cut.head, self._source, offset, tenant)
        self._dead.setdefault(dead_id, row)
        self._counters["dead_letters"] += 1
        self._counters[f"dead_letters.{reason}"] += 1

    def finish(self) -> Parsed:
        """The tables of everything taken so far."""
        counters = Counter({"out": len(self._rows), "filtered": 0, "dead_letters": 0})
        counters.update(self._counters)
        total = counters["out"] + counters["filtered"] + counters["dead_letters"]
        return Parsed(
            messages=_messages_table(self._rows),
            dead_letters=_dead_table(list(self._dead.values())),
            counters={"in": total, **counters},
        )


def _messages_table(rows: Sequence[MessageRow]) -> pa.Table:
    schema = TABLES["messages"].schema
    if not rows:
        return schema.empty_table()
    values: dict[str, Sequence[object]] = dict(
        zip(_ROW_COLUMNS, zip(*rows, strict=True), strict=True)
    )
    values["is_current"] = (True,) * len(rows)
    values["conflict"] = (False,) * len(rows)
    values["session_id"] = (None,) * len(rows)
    arrays = [_array(values[f.name], f.type) for f in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _array(values: Sequence[object], type_: pa.DataType) -> "pa.Array[Any]":
    if type_ == TIMESTAMP:
        # Microseconds: Arrow takes integers several times faster than datetimes.
        return pa.array(values, pa.int64()).cast(type_)
    return pa.array(values, type_)


def _dead_table(rows: Sequence[tuple[object, ...]]) -> pa.Table:
    schema = TABLES["dead_letters"].schema
    if not rows:
        return schema.empty_table()
    columns = zip(*rows, strict=True)
    arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)
