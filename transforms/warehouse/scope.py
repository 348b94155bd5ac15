"""Filters by conversation that DuckLake can prune files and row groups by."""

from collections.abc import Iterable, Sequence

import pyarrow as pa

from schemas.inert_text import inert, inert_table

Conversation = tuple[str, str]  # (tenant, conversation_id)
# Beyond this many, a range over the sorted ids prunes as well as a list and parses faster.
_MAX_LISTED = 200


def literal(text: str) -> str:
    """`text` as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def pruning_filter(conversations: Iterable[Conversation], alias: str) -> str:
    """A necessary condition in constants, which the planner compares with file statistics.

    Not sufficient: the exact (tenant, conversation_id) pairs are matched by a join.
    """
    ids = sorted({inert(conversation) for _, conversation in conversations})
    if not ids:
        return "false"
    column = f"{alias}.conversation_id"
    bounds = f"{column} BETWEEN {literal(ids[0])} AND {literal(ids[-1])}"
    if len(ids) > _MAX_LISTED:
        return bounds
    return f"{bounds} AND {column} IN ({', '.join(literal(i) for i in ids)})"


def conversation_table(conversations: Sequence[Conversation]) -> pa.Table:
    """Distinct conversations as Arrow, to join with."""
    distinct = sorted(set(conversations))
    table = {
        "tenant": pa.array([t for t, _ in distinct], pa.string()),
        "conversation_id": pa.array([c for _, c in distinct], pa.string()),
    }
    return inert_table(pa.table(table))


def conversations_of(table: pa.Table) -> list[Conversation]:
    """Distinct (tenant, conversation_id) of a table that has both columns."""
    pairs = (
        table.select(["tenant", "conversation_id"])
        .group_by(["tenant", "conversation_id"])
        .aggregate([])
    )
    return [(str(row["tenant"]), str(row["conversation_id"])) for row in pairs.to_pylist()]
