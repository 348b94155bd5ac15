"""The element of the dataflow: Arrow tables of some whole conversations.

Elements are coarse on purpose: Beam costs about twenty times the CPU of columnar code per
small element, so a frame holds all rows of its conversations and operators work on columns.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import polars as pl
import pyarrow as pa

from schemas.ids import content_hash
from schemas.tables import TABLES

Conversation = tuple[str, str]
StampKey = tuple[str, str, str, str]
Counters = Mapping[str, Mapping[str, int]]

SCOPE = ("tenant", "conversation_id")


@dataclass(frozen=True)
class Frame:
    """Tables of whole conversations, on their way through the steps.

    Attributes:
        tables: what has been computed so far, by table name.
        existing: rows of the same conversations in the warehouse before this run.
        stamps: which step made the existing rows, from what: (tenant, conversation, key,
            step) to stamp.
        hashes: content hash of each conversation's current messages.
        new_stamps: stamps of what the steps so far have made or kept.
        broken: conversations in which a step failed on a key: not stamped from there on.
        dead_letters: keys that a step could not compute, answers that it could not use.
        asked: (step, tenant, conversation, session) of all keys computed so far.
        counters: rows in, out and filtered, keys computed and kept, by step.
    """

    tables: Mapping[str, pa.Table]
    existing: Mapping[str, pa.Table]
    stamps: Mapping[StampKey, str]
    hashes: Mapping[Conversation, str]
    new_stamps: Mapping[StampKey, str] = field(default_factory=dict[StampKey, str])
    broken: frozenset[Conversation] = frozenset()
    dead_letters: tuple[pa.Table, ...] = ()
    asked: frozenset[tuple[str, str, str, str]] = frozenset()
    counters: Counters = field(default_factory=dict[str, Mapping[str, int]])

    def with_tables(self, tables: Mapping[str, pa.Table]) -> "Frame":
        """The frame with these tables added or replaced."""
        return replace(self, tables={**self.tables, **tables})

    def table(self, name: str) -> pa.Table:
        """The table as computed so far; empty if no step has written it."""
        found = self.tables.get(name)
        return TABLES[name].empty() if found is None else found

    def existing_table(self, name: str) -> pa.Table:
        """The table as it is in the warehouse, for these conversations."""
        found = self.existing.get(name)
        return TABLES[name].empty() if found is None else found


def to_arrow(frame: pl.DataFrame, name: str) -> pa.Table:
    """Polars to the exact Arrow schema of a registered table."""
    schema = TABLES[name].schema
    return frame.select(schema.names).to_arrow().cast(schema)


def to_polars(table: pa.Table) -> pl.DataFrame:
    """The same rows as a Polars frame."""
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame


def conversations_of(table: pa.Table) -> list[Conversation]:
    """Distinct (tenant, conversation_id) pairs, sorted."""
    pairs = to_polars(table.select(list(SCOPE))).unique().sort(SCOPE)
    return [(str(tenant), str(conversation)) for tenant, conversation in pairs.iter_rows()]


def keep_conversations(table: pa.Table, conversations: Iterable[Conversation]) -> pa.Table:
    """Rows of the given conversations."""
    wanted = pl.DataFrame(
        list(conversations),
        schema={"tenant": pl.String, "conversation_id": pl.String},
        orient="row",
    )
    rows = to_polars(table.select(list(SCOPE))).with_row_index("row")
    kept = rows.join(wanted, on=SCOPE, how="semi").get_column("row").sort()
    if len(kept) == table.num_rows:
        return table
    return table.take(kept.to_arrow())


def conversation_hashes(messages: pa.Table) -> dict[Conversation, str]:
    """Hash of each conversation's current messages; equal hash, equal memory."""
    columns = [*SCOPE, "message_id", "content_hash"]
    rows = to_polars(messages.select(columns)).sort(columns)
    grouped = rows.group_by(SCOPE, maintain_order=True).agg("message_id", "content_hash")
    return {
        (tenant, conversation): content_hash("conversation", *ids, *contents)
        for tenant, conversation, ids, contents in grouped.iter_rows()
    }
