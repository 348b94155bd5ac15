"""Physical erasure: after it, deleted rows are in no snapshot, file, statistic or free page.

DELETE in DuckLake hides rows; their text stays in the Parquet files, in older snapshots, in
the minimum and maximum of each column that the catalog keeps, and in the free pages of the
catalog's database; how these are rewritten is the business of `CatalogStore.scrub`, what a
bucket keeps of deleted objects that of `DataStore.scrub`. Every step here may be repeated, so
that an erasure that was killed is completed by the next one; `erasure.pending` says that one is
due.
"""

import shutil
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pyarrow as pa

from transforms.warehouse.connection import JOURNAL_DIR, LAKE, METADATA, SPILL_DIR, Warehouse
from transforms.warehouse.errors import WarehouseError
from transforms.warehouse.kv_files import finish_kv_changes, remove_unnamed_kv_files
from transforms.warehouse.maintenance import call, expire, remove_unneeded_files
from transforms.warehouse.retry import with_retry
from transforms.warehouse.staging import remove_abandoned

PENDING_FILE = "erasure.pending"
# Copies of memory text outside the tables; all can be made again from the tables.
_DERIVED_DIRS = (JOURNAL_DIR, SPILL_DIR, "cache", "index")
# Where DIR/tmp is a link, other programs may spill there too: DuckDB's files start like this.
_SPILLED = "duckdb_temp_"
_CHECKPOINT_WAIT_MS = 30_000
_NAMED_FILES = 3
_CHANGED = "__changed_statistics"
_STATISTICS = pa.schema(
    {"table_id": pa.int64(), "column_id": pa.int64(), "low": pa.string(), "high": pa.string()}
)


def announce_erasure(warehouse: Warehouse) -> None:
    """Record, before rows are deleted, that their physical erasure is due."""
    (warehouse.path / PENDING_FILE).write_text("physical erasure is due\n", "utf-8")


def finish_pending_erasure(warehouse: Warehouse) -> bool:
    """Complete an erasure that was killed; whether there was one."""
    if not (warehouse.path / PENDING_FILE).exists():
        return False
    erase_physically(warehouse)
    return True


def erase_physically(warehouse: Warehouse) -> None:
    """Make deleted rows unrecoverable from the files of the warehouse.

    Rewrites only data files with deleted rows. All snapshots but the current one go.
    Raises WarehouseError where something is left, e.g. a reader pins the write-ahead log.
    """
    warehouse.require_writable()
    announce_erasure(warehouse)
    remove_abandoned(warehouse)  # From now on, no worker that outlived its run leaves a file.
    call(warehouse, f"ducklake_rewrite_data_files('{LAKE}', delete_threshold => 0.0)")
    call(warehouse, f"ducklake_flush_inlined_data('{LAKE}')")
    expire(warehouse, timedelta(0))
    _remove_dead_catalog_rows(warehouse)
    _recompute_table_statistics(warehouse)
    remove_unneeded_files(warehouse)
    warehouse.stores.data.scrub()
    _scrub_catalog(warehouse)
    _remove_derived_files(warehouse)
    _check_nothing_left(warehouse)  # Last: whatever it finds, all else is gone.
    (warehouse.path / PENDING_FILE).unlink()


def _remove_dead_catalog_rows(warehouse: Warehouse) -> None:
    """Statistics of files that are gone; expiring removes them too, this makes it certain."""
    for table in ("ducklake_file_column_stats", "ducklake_file_variant_stats"):
        with_retry(
            lambda table=table: warehouse.connection.execute(
                f"DELETE FROM {METADATA}.{table} WHERE data_file_id NOT IN "
                f"(SELECT data_file_id FROM {METADATA}.ducklake_data_file)"
            )
        )


def _recompute_table_statistics(warehouse: Warehouse) -> None:
    """Set each column's minimum and maximum in the catalog to those of the files that remain.

    DuckLake only ever widens them on insert and delete. They must not become null either:
    the next insert would take its own values for the whole table's.
    """
    types = warehouse.rows(
        f"SELECT DISTINCT column_type FROM {METADATA}.ducklake_column WHERE end_snapshot IS NULL"
    )
    changed: list[dict[str, object]] = []
    for (name,) in sorted(types):
        type_ = _castable(name)
        if type_ is None:
            continue
        found = warehouse.rows(
            "SELECT s.table_id, s.column_id, s.min_value, s.max_value, "
            f"arg_min(f.min_value, TRY_CAST(f.min_value AS {type_})), "
            f"arg_max(f.max_value, TRY_CAST(f.max_value AS {type_})) "
            f"FROM {METADATA}.ducklake_table_column_stats s "
            f"JOIN {METADATA}.ducklake_column c ON c.table_id = s.table_id "
            "AND c.column_id = s.column_id AND c.end_snapshot IS NULL AND c.column_type = ? "
            f"LEFT JOIN {METADATA}.ducklake_file_column_stats f ON f.table_id = s.table_id "
            "AND f.column_id = s.column_id GROUP BY ALL",
            [name],
        )
        changed += [
            {"table_id": table, "column_id": column, "low": low, "high": high}
            for table, column, *recorded, low, high in found
            if recorded != [low, high]
        ]
    _set_statistics(warehouse, changed)


def _set_statistics(warehouse: Warehouse, changed: list[dict[str, object]]) -> None:
    rows = pa.Table.from_pylist(changed, _STATISTICS)

    def update() -> None:
        # Without the lock they might narrow what another has widened, and hide its rows.
        warehouse.require_writable()
        connection = warehouse.connection
        connection.register(_CHANGED, rows)
        try:
            connection.execute(
                f"UPDATE {METADATA}.ducklake_table_column_stats s "
                f"SET min_value = n.low, max_value = n.high FROM {_CHANGED} n "
                "WHERE s.table_id = n.table_id AND s.column_id = n.column_id"
            )
        finally:
            connection.unregister(_CHANGED)

    if changed:
        with_retry(update)


# DuckLake's names of the types of the registry. Blobs are kept as hex, which sorts the same.
_STATISTIC_TYPES = {
    "varchar": "VARCHAR",
    "blob": "VARCHAR",
    "boolean": "BOOLEAN",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "float32": "FLOAT",
    "float64": "DOUBLE",
    "timestamptz": "TIMESTAMPTZ",
}


def _castable(column_type: str) -> str | None:
    if column_type == "list":  # its element is a column of its own
        return None
    try:
        return _STATISTIC_TYPES[column_type]
    except KeyError:
        raise WarehouseError(
            f"no rule for statistics of type {column_type!r}", "catalog", "Add it to erasure.py."
        ) from None


def _check_nothing_left(warehouse: Warehouse) -> None:
    """Raise unless the catalog lists live, wholly live files only, and no others are there."""
    left = warehouse.rows(
        f"SELECT (SELECT count(*) FROM {METADATA}.ducklake_delete_file)"
        f" + (SELECT count(*) FROM {METADATA}.ducklake_data_file"
        "     WHERE end_snapshot IS NOT NULL)"
        f" + (SELECT count(*) FROM {METADATA}.ducklake_files_scheduled_for_deletion)"
        f" + (SELECT count(*) FROM {METADATA}.ducklake_inlined_data_tables)"
    )[0][0]
    listed = {
        path.rsplit("/", 1)[-1]
        for (path,) in warehouse.rows(f"SELECT path FROM {METADATA}.ducklake_data_file")
    }
    present = warehouse.stores.data.file_names()
    if left or present != listed:
        raise WarehouseError(
            f"erasure is incomplete: {left} catalog rows too many; Parquet files too many: "
            f"{_named(present - listed)}; missing: {_named(listed - present)}",
            warehouse.data_uri,
            "Run the same command again once no other process uses the warehouse. Move away files "
            "that are not memoryflow's; put back what is missing, or restore a backup.",
        )


def _named(files: set[str]) -> str:
    """A few of them, and how many more there are."""
    more = len(files) - _NAMED_FILES
    some = ", ".join(sorted(files)[:_NAMED_FILES])
    return f"{some} and {more:,} more" if more > 0 else some or "none"


def _scrub_catalog(warehouse: Warehouse) -> None:
    """Rewrite the catalog without what was deleted; DuckDB lets go of it meanwhile."""
    warehouse.disconnect()
    try:
        warehouse.stores.catalog.scrub(_CHECKPOINT_WAIT_MS)
    finally:
        warehouse.reconnect()


def _remove_derived_files(warehouse: Warehouse) -> None:
    """Journals, caches and indexes go whole; KV tensor files where no row names them."""
    remove_unnamed_kv_files(warehouse)
    finish_kv_changes(warehouse)
    left: list[tuple[Path, OSError]] = []
    for folder in (warehouse.path / name for name in _DERIVED_DIRS):
        try:
            paths = _ours(folder)
        except OSError as error:
            left.append((folder, error))
            continue
        for path in paths:
            try:
                _remove(path)
            except OSError as error:
                left.append((path, error))
    if left:  # Only now, so that what is in the way of one does not keep the others.
        path, error = left[0]
        raise WarehouseError(
            f"erasure is incomplete: {error.filename} cannot be removed: {error.strerror}",
            path,
            "It may hold what people said. Give permission, mount the disk that a link leads to, "
            "or remove it yourself; then run the same command again.",
        )


def _ours(folder: Path) -> list[Path]:
    """The folder; where it is a link, e.g. to a larger disk, what we have put there.

    OSError: the link leads to no folder, which is not the same as to an empty one.
    """
    if not folder.is_symlink():
        return [folder]
    prefix = _SPILLED if folder.name == SPILL_DIR else ""
    return [path for path in folder.iterdir() if path.name.startswith(prefix)]


def _remove(path: Path) -> None:
    """Remove a file or a folder: all of it that can be, before a failure is raised."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        with suppress(FileNotFoundError):
            shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
