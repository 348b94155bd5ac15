"""Messages and cells as rows in event order, and fact rows as the table."""

from typing import Any

import pyarrow as pa

from operators.frames import values
from schemas.tables import TABLES, TIMESTAMP

Key = tuple[str, str, str]
Row = dict[str, Any]


def key_of(row: Row) -> Key:
    """Primary key of the message, without its version."""
    return row["tenant"], row["conversation_id"], row["message_id"]


_NEEDED = (
    "tenant", "conversation_id", "message_id", "content_hash", "speaker", "role", "timestamp",
    "seq", "text", "session_id",
)  # fmt: skip


def ordered_messages(messages: pa.Table) -> list[Row]:
    """Current messages as rows in event order; those without a session are not current."""
    columns = [values(messages, name) for name in _NEEDED]
    rows: list[Row] = [dict(zip(_NEEDED, row, strict=True)) for row in zip(*columns, strict=True)]
    rows = [row for row in rows if row["session_id"] is not None]
    rows.sort(
        key=lambda r: (r["tenant"], r["conversation_id"], r["timestamp"], r["seq"], r["message_id"])
    )
    return rows


def cells_of_messages(
    cells: pa.Table,
) -> dict[Key, str]:
    """For each message its cell."""
    cell: dict[Key, str] = {}
    names = ("tenant", "conversation_id", "cell_id", "message_ids")
    for tenant, conversation, cell_id, members in zip(
        *(values(cells, n) for n in names), strict=True
    ):
        for message_id in members:
            cell[tenant, conversation, message_id] = cell_id
    return cell


def people_of_sessions(rows: list[Row]) -> dict[Key, list[str]]:
    """Speakers of each session, sorted."""
    people: dict[Key, set[str]] = {}
    for row in rows:
        people.setdefault((row["tenant"], row["conversation_id"], row["session_id"]), set()).add(
            row["speaker"]
        )
    return {key: sorted(names) for key, names in people.items()}


def facts_table(facts: list[Row]) -> pa.Table:
    """`facts` in event order (the rows come so), with the columns that later steps fill as null."""
    schema = TABLES["facts"].schema
    arrays: list[Any] = []
    for column in schema:
        data = [fact.get(column.name) for fact in facts]
        if column.type == TIMESTAMP:
            arrays.append(pa.array(data, pa.int64()).cast(TIMESTAMP))
        else:
            arrays.append(pa.array(data, column.type))
    return pa.Table.from_arrays(arrays, schema=schema)
