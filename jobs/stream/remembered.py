"""Recorded rows of the conversations built last, kept instead of being read again.

Reading what is recorded of a conversation takes about as long as building a few new
messages of it: every table is a query of its own. A stream builds the same conversations
again and again, so a worker keeps what it left them with.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from pipelines.recorded import RecordedRows
from schemas.tables import TABLES
from transforms.diff import ChangeSet
from transforms.frame import Conversation, keep_conversations, to_polars

_MOST_BYTES = 64 * 1024 * 1024


@dataclass
class _Entry:
    """A conversation as the piece `serial` left it: the tables read or made so far."""

    serial: int
    tables: dict[str, pa.Table] = field(default_factory=dict[str, pa.Table])
    bytes: int = 0


class RememberedRows:
    """Rows from memory where they are as expected, else from the warehouse.

    Between `expect` and `remember` it stands for the warehouse as of one build.

    Args:
        recorded: the warehouse.
        most_bytes: what may be kept; the conversations built longest ago go first.
    """

    def __init__(self, recorded: RecordedRows, most_bytes: int = _MOST_BYTES) -> None:
        self._recorded = recorded
        self._most = most_bytes
        self._entries: OrderedDict[Conversation, _Entry] = OrderedDict()

    def expect(self, built_by: Mapping[Conversation, int]) -> None:
        """What is about to be built, and the piece that built each last; 0 if not known.

        What is remembered from any other piece is out of date.
        """
        for conversation, serial in built_by.items():
            entry = self._entries.get(conversation)
            if entry is None or entry.serial != serial or serial == 0:
                self._entries[conversation] = _Entry(serial)

    def read_table(
        self,
        name: str,
        columns: Sequence[str] | None = None,
        conversations: Sequence[Conversation] | None = None,
    ) -> pa.Table:
        """Rows of a table, of these conversations only."""
        if columns is not None or conversations is None:
            return self._recorded.read_table(name, columns, conversations)
        entries = {c: entry for c in conversations if (entry := self._entries.get(c)) is not None}
        missing = [c for c in conversations if c not in entries or name not in entries[c].tables]
        found = [e.tables[name] for e in entries.values() if name in e.tables]
        if missing:
            read = self._recorded.read_table(name, None, missing)
            found.append(read)
            for conversation in missing:
                if conversation in entries:
                    rows = keep_conversations(read, [conversation])
                    entries[conversation].tables[name] = rows
        return pa.concat_tables([TABLES[name].empty(), *found])

    def remember(
        self, conversations: Sequence[Conversation], serial: int, changes: Sequence[ChangeSet]
    ) -> None:
        """The piece `serial` has been built: rows as they are once its changes are committed."""
        by_table = {change.table: change for change in changes}
        for conversation in conversations:
            entry = self._entries.pop(conversation, None)
            tables = None if entry is None else _after(entry, conversation, by_table)
            if tables is not None:
                size = sum(table.nbytes for table in tables.values())
                self._entries[conversation] = _Entry(serial, tables, size)
        size = sum(entry.bytes for entry in self._entries.values())
        while size > self._most and self._entries:
            _, entry = self._entries.popitem(last=False)
            size -= entry.bytes


def _after(
    entry: _Entry, conversation: Conversation, changes: Mapping[str, ChangeSet]
) -> dict[str, pa.Table] | None:
    """The entry's tables after the changes; None where that cannot be told."""
    messages = entry.tables.get("messages")
    if messages is None:
        return None
    tables = dict(entry.tables)
    for name, change in changes.items():
        if not TABLES[name].per_conversation:
            continue
        part = _part_of(change, conversation)
        if part.empty:
            continue
        if name not in tables and messages.num_rows:
            return None  # Changed without having been read.
        tables[name] = applied(tables.get(name, TABLES[name].empty()), part)
    if not messages.num_rows:  # It was new: what nothing was written to holds nothing.
        for name, table in TABLES.items():
            if table.per_conversation:
                tables.setdefault(name, table.empty())
    return tables


def _part_of(change: ChangeSet, conversation: Conversation) -> ChangeSet:
    deletes, inserts = (
        None if rows is None else keep_conversations(rows, [conversation])
        for rows in (change.deletes, change.inserts)
    )
    return ChangeSet(change.table, deletes, inserts)


def applied(rows: pa.Table, change: ChangeSet) -> pa.Table:
    """`rows` as a commit of `change` leaves them."""
    if change.deletes is not None and change.deletes.num_rows and rows.num_rows:
        keys = change.deletes.column_names
        numbered = to_polars(rows.select(keys)).with_row_index("__row")
        left = numbered.join(to_polars(change.deletes), on=keys, how="anti")
        rows = rows.take(left.get_column("__row").sort().to_arrow())
    if change.inserts is not None and change.inserts.num_rows:
        rows = pa.concat_tables([rows, change.inserts.select(rows.column_names).cast(rows.schema)])
    return rows
