"""A warehouse of plain Python rows: what a commit must do, without DuckLake."""

from collections.abc import Callable, Iterable, Sequence

import pyarrow as pa

from schemas.tables import TABLES
from transforms.warehouse.commit import ChangeSet

Row = dict[str, object]
Content = dict[str, set[tuple[object, ...]]]


def frozen(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def content_of(rows: Callable[[str], Iterable[Row]]) -> Content:
    """Content columns of the memory tables; no row is there twice."""
    content: Content = {}
    for name, table in TABLES.items():
        if not table.bookkeeping:
            found = [
                tuple(frozen(row[column]) for column in table.content_columns) for row in rows(name)
            ]
            content[name] = set(found)
            assert len(content[name]) == len(found), f"{name}: the same row twice"
    return content


class MemoryStore:
    """Rows by primary key, per table; refuses what a real primary key would refuse."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[tuple[object, ...], Row]] = {name: {} for name in TABLES}

    def apply(self, changes: Iterable[ChangeSet]) -> None:
        changes = list(changes)
        for change in changes:
            for row in change.deletes.to_pylist() if change.deletes is not None else []:
                self._delete(change.table, row)
        for change in changes:
            for row in change.inserts.to_pylist() if change.inserts is not None else []:
                self._insert(change, row)

    def read_table(
        self,
        name: str,
        columns: Sequence[str] | None = None,
        conversations: Sequence[tuple[str, str]] | None = None,
    ) -> pa.Table:
        wanted = None if conversations is None else set(conversations)
        rows = [
            row
            for row in self.rows[name].values()
            if wanted is None or (row["tenant"], row["conversation_id"]) in wanted
        ]
        table = pa.Table.from_pylist(rows, schema=TABLES[name].schema)
        return table if columns is None else table.select(list(columns))

    def content(self) -> Content:
        """Content columns of the memory tables: what a digest is over."""
        return content_of(lambda name: self.rows[name].values())

    def _delete(self, table: str, key: Row) -> None:
        matching = [
            found
            for found, row in self.rows[table].items()
            if all(row[column] == value for column, value in key.items())
        ]
        assert matching, f"{table}: nothing to delete for {key}"
        for found in matching:
            del self.rows[table][found]

    def _insert(self, change: ChangeSet, row: Row) -> None:
        key = tuple(row[column] for column in TABLES[change.table].key)
        if key in self.rows[change.table]:
            assert change.keep_first, f"{change.table}: duplicate key {key}"
            return
        self.rows[change.table][key] = row
