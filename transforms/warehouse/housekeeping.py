"""Upkeep beside a running stream: a pass between two commits, every minute or so."""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from transforms.warehouse.compaction import STREAMING, CompactionPolicy, CompactionReport, compact
from transforms.warehouse.connection import LAKE, Warehouse
from transforms.warehouse.maintenance import call, live_files
from transforms.warehouse.snapshots import thin_snapshots


@dataclass(frozen=True)
class HousekeepingPolicy:
    """What a pass does.

    `keep_every`, `keep`: see `thin_snapshots`; `most_snapshots` is the most that a pass expires.
    """

    compaction: CompactionPolicy = STREAMING
    keep_every: timedelta = timedelta(minutes=10)
    keep: timedelta = timedelta(days=7)
    most_snapshots: int = 2000


@dataclass(frozen=True)
class HousekeepingReport:
    """What a pass did, and how long that took."""

    compaction: CompactionReport
    snapshots_expired: int
    files_removed: int
    live_files: int
    seconds: float


def housekeep(
    warehouse: Warehouse, policy: HousekeepingPolicy, now: datetime
) -> HousekeepingReport:
    """One pass: remove unneeded files, thin snapshots, merge what the last commits wrote.

    Files that this pass makes unneeded are removed by the next, so that a reader in the
    middle of a query still finds them. (DuckLake's `older_than` is no help: with a SQLite
    catalog it compares texts of different form and is wrong by up to a day.)
    Costs what was written since the last pass, not what the warehouse holds. Changes no row.
    A pass that is killed is made up for by the next. Files of writers that died are not
    looked for: see `remove_orphans`. Raises WarehouseError (read-only, disk full).
    """
    started = time.monotonic()
    removed = call(warehouse, f"ducklake_cleanup_old_files('{LAKE}', cleanup_all => true)")
    expired = thin_snapshots(warehouse, policy.keep_every, policy.keep, now, policy.most_snapshots)
    compaction = compact(warehouse, policy.compaction)
    return HousekeepingReport(
        compaction, expired, removed, live_files(warehouse), time.monotonic() - started
    )
