"""`memoryflow status`: how a warehouse and its stream are doing.

What a live stream says of itself (DIR/stream.json, at most about a second old) comes first;
what it does not say is computed from the tables. Nothing is written, and a stream that writes
meanwhile is not disturbed. Cost: scans of a few narrow columns, and a walk over the folder.
"""

import contextlib
import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from jobs.recorded_builds import BUILDS
from jobs.stream.last_pulse import LastPulse, last_pulse
from operators.parse.timestamps import EPOCH
from pipelines.errors import PipelineError
from transforms.warehouse.connection import METADATA, Warehouse
from transforms.warehouse.maintenance import live_files
from transforms.warehouse.read import read_table

Row = dict[str, Any]
_LAST_RUNS = 5
_PULSE_KEYS = (
    *("pid", "started_at", "watermark", "open_sessions", "in_flight_messages"),
    *("in_flight_bytes", "backlog", "troubles", "messages", "messages_per_second", "commits"),
    *("commit_seconds", "freshness_seconds", "dead_letters"),
)


def status(warehouse: Warehouse, now: datetime) -> Row:
    """The state of `warehouse` as plain values; all keys are always there.

    Keys:
        stream: null where there never was one; else `state` (see `LastPulse`), `said_at` and
            the last pulse: `watermark`, `open_sessions`, `in_flight_*`, `backlog` by source and
            partition (records or bytes), `troubles` by source, `messages` (read since its
            start), `messages_per_second`, `commits`, `commit_seconds` and `freshness_seconds`
            (reading to commit; p50 and p95 over the last minute), `dead_letters`.
        watermark: event time up to which sessions are closed: of the live stream, else what
            its committed positions give. null where nothing was streamed.
        open_sessions: of the live stream, else the sessions in the tables that reach over the
            watermark. null where nothing was streamed, or its pipeline cannot be loaded here.
        lag: `pulse_seconds` (wall clock since the last pulse), `backlog` (all sources
            together), both null without a live stream; `event_time_seconds` from the watermark
            to the newest message in the warehouse.
        newest_message: event time.
        counts: rows of memory; `messages` are current versions.
        dead_letters: `step`, `reason`, `count`.
        positions: what is committed of each partition of a live source: `source`,
            `partition`, `position`, `newest` (event time; null before any message).
        input_files: files that `memoryflow run` has read to their end.
        runs: the last five, newest first: `run_id`, `job`, `pipeline`, `status`,
            `started_at`, `finished_at` (of the last commit).
        storage: `live_files` and `live_bytes` of the current snapshot, `snapshots`,
            `disk_bytes` of the folder (older snapshots, catalog and model calls included), and
            of what the warehouse has in PostgreSQL and in an object store.
    """
    pulse = last_pulse(warehouse.path, now)
    positions, files = _positions(warehouse)
    newest = warehouse.query("SELECT max(timestamp) AS newest FROM messages WHERE is_current")
    newest_message: datetime | None = newest["newest"][0].as_py()
    watermark, open_sessions = _event_time(warehouse, pulse, positions)
    return {
        "warehouse": str(warehouse.path),
        "at": now,
        "stream": _stream(pulse, now),
        "watermark": watermark,
        "open_sessions": open_sessions,
        "lag": _lag(pulse, watermark, newest_message),
        "newest_message": newest_message,
        "counts": _counts(warehouse),
        "dead_letters": _dead_letters(warehouse),
        "positions": positions,
        "input_files": files,
        "runs": _runs(warehouse),
        "storage": _storage(warehouse),
    }


def _stream(pulse: LastPulse | None, now: datetime) -> Row | None:
    if pulse is None:
        return None
    told = {key: pulse.content.get(key) for key in _PULSE_KEYS}
    times = {key: _moment(told[key]) for key in ("started_at", "watermark")}
    return {"state": pulse.state, "said_at": now - pulse.age, **told, **times}


def _lag(pulse: LastPulse | None, watermark: datetime | None, newest: datetime | None) -> Row:
    behind = seconds = backlog = None
    if watermark is not None and newest is not None:
        behind = (newest - watermark).total_seconds()
    if pulse is not None and pulse.alive:
        seconds = round(pulse.age.total_seconds(), 3)
        backlog = sum(pulse.content.get("backlog", {}).values())
    return {"pulse_seconds": seconds, "backlog": backlog, "event_time_seconds": behind}


def _event_time(
    warehouse: Warehouse, pulse: LastPulse | None, positions: list[Row]
) -> tuple[datetime | None, int | None]:
    """Watermark and open sessions."""
    if pulse is not None and pulse.alive and pulse.content.get("watermark"):
        return (
            _moment(pulse.content["watermark"]),
            int(pulse.content["open_sessions"]),
        )
    committed = [row["newest"] for row in positions if row["newest"] is not None]
    if not committed:
        return None, None
    delays = _delays(warehouse)
    if delays is None:
        return min(committed), None
    gap, out_of_orderness = delays
    watermark = min(committed) - out_of_orderness
    found = warehouse.rows("SELECT count(*) FROM sessions WHERE end_time > ?", [watermark - gap])
    return watermark, int(found[0][0])


def _delays(warehouse: Warehouse) -> tuple[timedelta, timedelta] | None:
    """Session gap and out-of-orderness of the last pipeline; None if it cannot be loaded."""
    rows = warehouse.rows(
        f"SELECT pipeline_spec FROM runs WHERE {BUILDS} "
        "ORDER BY job = 'stream' DESC, started_at DESC, run_id LIMIT 1"
    )
    if not rows:
        return None
    # The operators take more than a second to import, and a live stream makes them needless.
    from pipelines.plan import restored_plan  # noqa: PLC0415
    from pipelines.streaming import windowing_of  # noqa: PLC0415

    try:
        plan = restored_plan(rows[0][0])
    except PipelineError:
        return None
    return windowing_of(plan).gap, plan.streaming.out_of_orderness


def _counts(warehouse: Warehouse) -> Row:
    """One statement, hence of one snapshot."""
    found = warehouse.query(
        "SELECT count(*) AS messages, "
        "count(DISTINCT (tenant, conversation_id)) AS conversations, "
        "(SELECT count(*) FROM sessions) AS sessions, "
        "(SELECT count(*) FROM facts) AS facts, "
        "(SELECT count(*) FROM facts WHERE status = 'active') AS active_facts, "
        "(SELECT count(*) FROM entities) AS entities, "
        "(SELECT count(*) FROM episodes) AS episodes, "
        "(SELECT count(*) FROM scenes) AS scenes, "
        "(SELECT count(*) FROM personas) AS personas, "
        "(SELECT count(*) FROM dead_letters) AS dead_letters "
        "FROM messages WHERE is_current"
    )
    return dict(found.to_pylist()[0])


def _dead_letters(warehouse: Warehouse) -> list[Row]:
    return warehouse.query(
        "SELECT step, reason, count(*) AS count FROM dead_letters GROUP BY ALL "
        "ORDER BY count DESC, step, reason"
    ).to_pylist()


def _positions(warehouse: Warehouse) -> tuple[list[Row], int]:
    """Partitions of live sources, sorted, and how many whole files a batch run has read."""
    out: list[Row] = []
    rows = read_table(warehouse, "offsets", ["source", "partition", "position", "state"])
    for row in rows.to_pylist():
        state = orjson.loads(row.pop("state"))
        if "newest" in state:
            micros = state["newest"]
            newest = EPOCH + timedelta(microseconds=micros) if micros is not None else None
            out.append({**row, "newest": newest})
    out.sort(key=lambda row: (row["source"], row["partition"]))
    return out, rows.num_rows - len(out)


def _runs(warehouse: Warehouse) -> list[Row]:
    return warehouse.query(
        "SELECT run_id, job, pipeline, status, started_at, finished_at FROM runs "
        f"ORDER BY started_at DESC, run_id LIMIT {_LAST_RUNS}"
    ).to_pylist()


def _storage(warehouse: Warehouse) -> Row:
    found = warehouse.rows(
        f"SELECT (SELECT count(*) FROM {METADATA}.ducklake_snapshot), "
        f"(SELECT coalesce(sum(file_size_bytes), 0) FROM {METADATA}.ducklake_data_file "
        "WHERE end_snapshot IS NULL)"
    )
    snapshots, live_bytes = found[0]
    return {
        "live_files": live_files(warehouse),
        "live_bytes": int(live_bytes),
        "snapshots": int(snapshots),
        "disk_bytes": _size_of(warehouse.path) + warehouse.stores.outside_bytes(),
    }


def _size_of(folder: Path) -> int:
    """Bytes of the files below `folder`; those that go away meanwhile do not count."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(parent) / name).lstat().st_size
    return total


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def status_json(found: Row) -> str:
    """`status` as one JSON object; times are ISO 8601, UTC."""
    return orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z).decode()
