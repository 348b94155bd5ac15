"""Hand-made rows for any table of the registry."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from schemas.tables import TABLES

START = datetime(2024, 1, 1, tzinfo=UTC)


_DEFAULTS: list[tuple[Callable[[pa.DataType], bool], Any]] = [
    (pa.types.is_list, []),
    (pa.types.is_timestamp, START),
    (pa.types.is_boolean, True),
    (pa.types.is_integer, 0),
    (pa.types.is_floating, 0.5),
    (pa.types.is_binary, b""),
]


def default_value(type_: pa.DataType, name: str) -> Any:
    for holds, value in _DEFAULTS:
        if holds(type_):
            return value
    return "default" if name == "tenant" else name


def make_rows(table: str, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows with defaults where a column is not given: null where it may be."""
    registered = TABLES[table]
    records = [
        {
            c.name: row.get(c.name, None if c.nullable else default_value(c.type, c.name))
            for c in registered.columns
        }
        for row in rows
    ]
    unknown = {name for row in rows for name in row} - set(registered.schema.names)
    assert not unknown, unknown
    return pa.Table.from_pylist(records, schema=registered.schema)


def messages(conversation: str, texts: Mapping[str, str], speaker: str = "Ana") -> pa.Table:
    return make_rows(
        "messages",
        [
            {
                "conversation_id": conversation,
                "message_id": message_id,
                "content_hash": f"hash-{message_id}",
                "text": text,
                "speaker": speaker,
                "conflict": False,
                "timestamp": START + timedelta(minutes=sum(message_id.encode())),
            }
            for message_id, text in texts.items()
        ],
    )


def one_row_everywhere(text: str, conversation: str = "c1") -> dict[str, pa.Table]:
    """A row in every content table with `text` in every free column."""
    out: dict[str, pa.Table] = {}
    for name, table in TABLES.items():
        if table.bookkeeping:
            continue
        row: dict[str, Any] = {}
        for column in table.columns:
            if column.name in ("tenant", "conversation_id"):
                continue
            if column.type == pa.string():
                row[column.name] = f"{text} {column.name}"
            elif column.type == pa.list_(pa.string()):
                row[column.name] = [f"{text} a", f"{text} b"]
            elif column.type == pa.binary():
                row[column.name] = text.encode()
        if table.per_conversation:
            row["conversation_id"] = conversation
        out[name] = make_rows(name, [row])
    return out
