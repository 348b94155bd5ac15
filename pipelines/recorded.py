"""What is recorded of some conversations: read access for a build."""

from collections.abc import Sequence
from typing import Protocol

import pyarrow as pa

from schemas.tables import TABLES
from transforms.frame import SCOPE, Conversation, StampKey

CONTENT_TABLES = tuple(
    name for name, table in TABLES.items() if table.per_conversation and not table.bookkeeping
)


class RecordedRows(Protocol):
    """Read access to the warehouse as it was when the run began (or later)."""

    def read_table(
        self,
        name: str,
        columns: Sequence[str] | None = None,
        conversations: Sequence[Conversation] | None = None,
    ) -> pa.Table:
        """Rows of a table, of these conversations only."""
        ...


def read_recorded(
    recorded: RecordedRows | None, name: str, conversations: Sequence[Conversation]
) -> pa.Table:
    """Rows of these conversations; none without a warehouse."""
    if recorded is None or not conversations:
        return TABLES[name].empty()
    return recorded.read_table(name, conversations=conversations)


def read_stamps(
    recorded: RecordedRows | None, conversations: Sequence[Conversation]
) -> dict[StampKey, str]:
    """Stamps of these conversations."""
    rows = read_recorded(recorded, "stamps", conversations)
    columns = [rows[name].to_pylist() for name in (*SCOPE, "key", "step", "stamp")]
    return {(t, c, k, s): stamp for t, c, k, s, stamp in zip(*columns, strict=True)}
