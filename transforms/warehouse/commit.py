"""One transaction over all tables: the only way rows get into a warehouse."""

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import duckdb
import numpy as np
import pyarrow as pa

from schemas.inert_text import inert_table
from schemas.tables import TABLES, Table
from transforms.warehouse.catalog import quoted
from transforms.warehouse.connection import LAKE, Warehouse
from transforms.warehouse.failures import disk_failures
from transforms.warehouse.retry import with_retry
from transforms.warehouse.scope import conversations_of, pruning_filter

_DELETES = "__changes_deletes"
_INSERTS = "__changes_inserts"


@dataclass(frozen=True)
class StagedFile:
    """Rows to add that a worker has written as Parquet already; in no snapshot yet.

    Attributes:
        path: as DuckDB opens it; below the data of the warehouse, in the folder of the table.
        rows: how many.
        nbytes: what they took in memory.
    """

    path: str
    rows: int
    nbytes: int


@dataclass(frozen=True)
class ChangeSet:
    """What one commit changes in one table; deletes come before inserts.

    `deletes`: rows equal in all the columns given here go; the key columns for single rows,
    (tenant, conversation_id) for all rows of conversations. Include both scope columns
    where the table has them: files without these conversations are then not read.
    `inserts`: rows to add, all columns of the registry, in any order.
    `keep_first`: leave out inserts whose key is there already.
    `staged`: further rows to add, in files which the commit only has to register; never with
    `keep_first`, since nobody looks into them any more. See `staging`.
    """

    table: str
    deletes: pa.Table | None = None
    inserts: pa.Table | None = None
    keep_first: bool = False
    staged: tuple[StagedFile, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not _rows(self.deletes) and not _rows(self.inserts) and not self.staged

    @property
    def nbytes(self) -> int:
        """What the rows to add take in memory, or took where they are in files."""
        inserts = self.inserts.nbytes if self.inserts is not None else 0
        return inserts + sum(file.nbytes for file in self.staged)


def upsert(table: str, rows: pa.Table) -> ChangeSet:
    """Rows that replace those with the same key."""
    return ChangeSet(table, deletes=rows.select(list(TABLES[table].key)), inserts=rows)


def insert_new(table: str, rows: pa.Table) -> ChangeSet:
    """Rows of which those with a known key are left out: first seen, first kept."""
    return ChangeSet(table, inserts=rows, keep_first=True)


def commit(
    warehouse: Warehouse, changes: Sequence[ChangeSet], bookkeeping: Sequence[ChangeSet] = ()
) -> int:
    """Apply all of `changes` and `bookkeeping` in ONE transaction; returns the snapshot id.

    Either everything is visible afterwards or nothing. Retried as a whole while the catalog
    is busy. With nothing to change, no snapshot is made and the current one is returned.
    Raises WarehouseError (read-only, lock lost, disk full or failing), ValueError (a missing
    column, a null or a value that does not fit the registry).
    """
    warehouse.require_writable()
    prepared = [_prepare(c) for c in (*changes, *bookkeeping) if not c.empty]
    if not prepared:
        return warehouse.current_snapshot()
    connection = warehouse.connection

    def transaction() -> int:
        connection.execute("BEGIN")
        try:
            for change in prepared:
                _delete(connection, change)
            for change in prepared:
                _insert(connection, change)
                _register(connection, change)
            # Asked last: who takes the lock ends what is open on the catalog, so a transaction
            # that began before cannot be committed, and one that began after ends here.
            warehouse.require_writable()
            connection.execute("COMMIT")
        except BaseException:
            _rollback(connection)
            raise
        return _last_snapshot(connection)

    with disk_failures(warehouse):
        return with_retry(transaction)


def _prepare(change: ChangeSet) -> ChangeSet:
    if change.staged and change.keep_first:
        raise ValueError(f"table {change.table!r}: staged rows cannot be looked up one by one")
    inserts = None if change.inserts is None else prepared_rows(change)
    deletes = None if change.deletes is None else inert_table(change.deletes)
    return replace(change, inserts=inserts, deletes=deletes)


def prepared_rows(change: ChangeSet) -> pa.Table:
    """The rows to add as they are written: columns of the registry, sorted by conversation.

    Raises:
        ValueError: see `conform`.
    """
    table = TABLES[change.table]
    if change.inserts is None:
        return table.empty()
    rows = conform(table, change.inserts)
    if change.keep_first:
        rows = _first_per_key(rows, table.key)
    return _sorted_by_scope(rows) if table.per_conversation else rows


def conform(table: Table, rows: pa.Table) -> pa.Table:
    """`rows` with exactly the columns, types and nullability of the registry; else ValueError.

    No text of theirs is a template to DuckLake: see `inert_table`.
    """
    missing = [c.name for c in table.columns if c.name not in rows.column_names]
    if missing:
        raise ValueError(f"table {table.name!r}: columns missing: {', '.join(missing)}")
    selected = inert_table(rows.select([c.name for c in table.columns]))
    for column in table.columns:
        if not column.nullable and selected.column(column.name).null_count:
            raise ValueError(f"table {table.name!r}: null in column {column.name!r}")
    if selected.schema.equals(table.schema):
        return selected
    try:
        return selected.cast(table.schema)
    except pa.ArrowInvalid as error:
        raise ValueError(f"table {table.name!r}: {error}") from error


def _first_per_key(rows: pa.Table, key: Iterable[str]) -> pa.Table:
    keys = list(key)
    numbered = rows.select(keys).append_column("__row", pa.array(np.arange(rows.num_rows)))
    first = numbered.group_by(keys).aggregate([("__row", "min")])
    return rows.take(first.column("__row_min").combine_chunks().sort())


def _sorted_by_scope(rows: pa.Table) -> pa.Table:
    """Sorted by conversation, so that file and row group statistics prune."""
    order = rows.select(["tenant", "conversation_id"]).sort_by(
        [("tenant", "ascending"), ("conversation_id", "ascending")]
    )
    if order.equals(rows.select(["tenant", "conversation_id"])):
        return rows
    return rows.sort_by([("tenant", "ascending"), ("conversation_id", "ascending")])


def _delete(connection: duckdb.DuckDBPyConnection, change: ChangeSet) -> None:
    if change.deletes is None or not change.deletes.num_rows:
        return
    columns = change.deletes.column_names
    conditions = [f"t.{quoted(c)} = d.{quoted(c)}" for c in columns]
    if {"tenant", "conversation_id"} <= set(columns):
        conditions.append(pruning_filter(conversations_of(change.deletes), "t"))
    connection.register(_DELETES, change.deletes)
    try:
        connection.execute(
            f"DELETE FROM {quoted(change.table)} t USING {_DELETES} d "
            f"WHERE {' AND '.join(conditions)}"
        )
    finally:
        connection.unregister(_DELETES)


def _insert(connection: duckdb.DuckDBPyConnection, change: ChangeSet) -> None:
    if change.inserts is None or not change.inserts.num_rows:
        return
    table = TABLES[change.table]
    source = f"SELECT * FROM {_INSERTS} i"
    if change.keep_first:
        same = " AND ".join(f"t.{quoted(k)} = i.{quoted(k)}" for k in table.key)
        source += f" WHERE NOT EXISTS (FROM {quoted(table.name)} t WHERE {same})"
    connection.register(_INSERTS, change.inserts)
    try:
        connection.execute(f"INSERT INTO {quoted(table.name)} {source}")
    finally:
        connection.unregister(_INSERTS)


def _register(connection: duckdb.DuckDBPyConnection, change: ChangeSet) -> None:
    """Make staged files part of the table; it reads their footers only.

    DuckLake owns them from then on. A transaction that is rolled back leaves them where they
    are, so that it can be tried again.
    """
    if change.staged:
        connection.execute(
            # A folder above may be called `tenant=acme`: that says nothing of rows.
            f"CALL ducklake_add_data_files('{LAKE}', ?, ?, hive_partitioning => false)",
            [change.table, [file.path for file in change.staged]],
        )


def _rollback(connection: duckdb.DuckDBPyConnection) -> None:
    # A COMMIT that failed has rolled back already, and there is nothing left to roll back.
    with contextlib.suppress(duckdb.Error):
        connection.execute("ROLLBACK")


def _last_snapshot(connection: duckdb.DuckDBPyConnection) -> int:
    """Of this connection; the current one where the transaction turned out to change nothing."""
    row = connection.execute(
        f"SELECT coalesce((FROM ducklake_last_committed_snapshot('{LAKE}')), "
        f"(FROM ducklake_current_snapshot('{LAKE}')))"
    ).fetchone()
    return 0 if row is None else int(row[0])


def _rows(table: pa.Table | None) -> int:
    return 0 if table is None else table.num_rows
