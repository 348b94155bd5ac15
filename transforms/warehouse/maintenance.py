"""Upkeep: merge small files, expire old snapshots, remove files that nothing needs."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from transforms.warehouse.compaction import THOROUGH, call_function, compact
from transforms.warehouse.connection import LAKE, METADATA, Warehouse
from transforms.warehouse.snapshots import thin_snapshots

DEFAULT_KEEP = timedelta(days=7)
# Files above this number slow every scan and every commit.
_MANY_FILES = 400


@dataclass(frozen=True)
class MaintenanceReport:
    """What maintenance did."""

    snapshots_expired: int
    files_before: int
    files_after: int
    files_removed: int


def needs_maintenance(warehouse: Warehouse, max_files: int = _MANY_FILES) -> bool:
    """Whether so many small files have piled up that merging them pays."""
    return live_files(warehouse) > max_files


def maintain(warehouse: Warehouse, keep: timedelta = DEFAULT_KEEP) -> MaintenanceReport:
    """Merge small files, rewrite much-deleted ones, expire snapshots older than `keep`.

    Merging is tiered (see `compact`): what is large already is not rewritten every time.

    Files that no remaining snapshot needs are removed at once, and so are files left by
    killed writers: hold the write lock (an open writable warehouse does), and note that a
    reader in the middle of a query on an expired snapshot has to start over (reads through
    `Warehouse` do).
    """
    warehouse.require_writable()
    before = live_files(warehouse)
    compact(warehouse, THOROUGH)
    expired = expire(warehouse, keep)
    removed = remove_unneeded_files(warehouse)
    return MaintenanceReport(expired, before, live_files(warehouse), removed)


def expire(warehouse: Warehouse, keep: timedelta) -> int:
    """Expire snapshots older than `keep`, never the current one; returns how many."""
    return thin_snapshots(warehouse, keep, keep, datetime.now(UTC))


def remove_unneeded_files(warehouse: Warehouse) -> int:
    """Delete Parquet files that no snapshot needs, and files of writers that died."""
    removed = call(warehouse, f"ducklake_cleanup_old_files('{LAKE}', cleanup_all => true)")
    return removed + remove_orphans(warehouse)


def remove_orphans(warehouse: Warehouse) -> int:
    """Delete files of writers that died: at the start, since it looks at the whole folder."""
    warehouse.require_writable()
    return call(warehouse, f"ducklake_delete_orphaned_files('{LAKE}', cleanup_all => true)")


def live_files(warehouse: Warehouse) -> int:
    """Data and delete files of the current snapshot."""
    sql = " UNION ALL ".join(
        f"SELECT count(*) FROM {METADATA}.{table} WHERE end_snapshot IS NULL"
        for table in ("ducklake_data_file", "ducklake_delete_file")
    )
    return sum(int(row[0]) for row in warehouse.rows(sql))


def call(warehouse: Warehouse, function: str) -> int:
    """CALL a DuckLake function, retried while the catalog is busy; number of rows it returns."""
    return len(call_function(warehouse, function))
