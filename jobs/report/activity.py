"""Messages over event time."""

from datetime import datetime
from typing import Any

from jobs.report.charts import columns
from transforms.warehouse.connection import Warehouse

_HEIGHT = 110.0
_MOST_COLUMNS = 140
_UNITS = (
    *(("hour", 3600), ("day", 86_400), ("week", 604_800), ("month", 2_629_800)),
    *(("year", 31_557_600), ("decade", 315_576_000), ("century", 3_155_760_000)),
)


def activity(warehouse: Warehouse) -> dict[str, Any] | None:
    """Columns of messages per hour, day, ... over the whole log; None without messages."""
    first, last = warehouse.rows(
        "SELECT min(timestamp), max(timestamp) FROM messages WHERE is_current"
    )[0]
    if first is None:
        return None
    unit = _unit(first, last)
    rows = warehouse.rows(
        # The century of the year 1 (an unset time of many programs) begins before it, where
        # Python has no time.
        "SELECT greatest(b.bucket, TIMESTAMPTZ '0001-01-01 00:00:00+00'), coalesce(m.n, 0) FROM ("
        f"SELECT unnest(generate_series(date_trunc('{unit}', ?::TIMESTAMPTZ), "
        f"?::TIMESTAMPTZ, INTERVAL 1 {unit})) AS bucket) b "
        f"LEFT JOIN (SELECT date_trunc('{unit}', timestamp) AS bucket, count(*) AS n FROM messages "
        f"WHERE is_current GROUP BY 1) m USING (bucket) ORDER BY 1",
        [first, last],
    )
    counts = [float(count) for _, count in rows]
    titles = [f"{_named(bucket, unit)}: {count:,} messages" for bucket, count in rows]
    return {
        "unit": unit,
        "height": _HEIGHT,
        "columns": columns(counts, titles, _HEIGHT),
        "first": _named(first, unit),
        "last": _named(last, unit),
        "most": int(max(counts)),
    }


def _unit(first: datetime, last: datetime) -> str:
    """The finest that does not make too many columns."""
    seconds = (last - first).total_seconds()
    return next((name for name, size in _UNITS if seconds / size <= _MOST_COLUMNS), "century")


def _named(bucket: datetime, unit: str) -> str:
    if unit == "hour":
        return f"{bucket:%Y-%m-%d %H:00}"
    if unit in {"day", "week"}:
        return f"{bucket:%Y-%m-%d}"
    return f"{bucket:%Y-%m}" if unit == "month" else f"{bucket:%Y}"
