"""Which snapshots stay: all of late, then one an hour, then none."""

from datetime import datetime, timedelta

from transforms.warehouse.compaction import call_function
from transforms.warehouse.connection import LAKE, METADATA, Warehouse

# Expiring writes out the ids in SQL and joins them with the files: neither may grow.
_BATCH = 2000


def thin_snapshots(
    warehouse: Warehouse,
    keep_every: timedelta,
    keep: timedelta,
    now: datetime,
    most: int | None = None,
) -> int:
    """Expire snapshots by age; returns how many.

    What was the current one within `keep_every` stays, so that a reader that has just begun is
    not overtaken. Of the rest the last of each hour (UTC) stays until it is older than `keep`.
    The current one always stays. `most` bounds what one call does, oldest
    first; the next call goes on. Files are scheduled for removal, not removed.
    Raises ValueError for a `now` without time zone.
    """
    warehouse.require_writable()
    if now.tzinfo is None:
        raise ValueError("now needs a time zone")
    versions = _superfluous(warehouse, now - keep_every, now - keep)[:most]
    for start in range(0, len(versions), _BATCH):
        batch = versions[start : start + _BATCH]
        call_function(warehouse, f"ducklake_expire_snapshots('{LAKE}', versions => {batch})")
    return len(versions)


def _superfluous(warehouse: Warehouse, all_from: datetime, hourly_from: datetime) -> list[int]:
    """Ids of the snapshots that go, oldest first.

    The last of an hour is looked for among all snapshots, the young ones too: the hour that
    is going on has its last one still to come.
    """
    rows = warehouse.rows(
        "WITH s AS (SELECT snapshot_id AS id, snapshot_time::TIMESTAMPTZ AS made "
        f"FROM {METADATA}.ducklake_snapshot) "
        "SELECT id FROM (SELECT *, lead(made) OVER (ORDER BY id) AS superseded, "
        "max(id) OVER (PARTITION BY date_trunc('hour', made)) AS last_of_hour FROM s) "
        "WHERE superseded < ? AND (id <> last_of_hour OR made < ?) ORDER BY id",
        [all_from, hourly_from],
    )
    return [int(row[0]) for row in rows]
