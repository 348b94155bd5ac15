"""Runs, their steps, and what models did."""

from typing import Any

import orjson

from jobs.errors import UsageError
from jobs.report.charts import line_points
from schemas.views import VIEWS
from transforms.step_time import MILLISECONDS, SLICES
from transforms.warehouse.connection import Warehouse
from transforms.warehouse.scope import literal

Row = dict[str, Any]
_SHOWN_RUNS = 15
_COUNTED = ("calls", "questions", "texts", "embedded", "reused", "answers_recorded")
# By their text and not by name: a warehouse that an older version made lacks the newest views.
_SQL = {view.name: view.sql for view in VIEWS}


def run_of(warehouse: Warehouse, run_id: str | None) -> Row | None:
    """The run of that id, or the last one; None where there never was one.

    Raises:
        UsageError: there is no such run.
    """
    where = "" if run_id is None else f"WHERE run_id = {literal(run_id)}"
    rows = warehouse.query(
        f"SELECT s.*, r.counters, r.pipeline_spec FROM ({_SQL['run_summary']}) s "
        f"JOIN runs r USING (run_id) {where} ORDER BY s.started_at DESC, run_id LIMIT 1"
    ).to_pylist()
    if not rows:
        if run_id is None:
            return None
        raise UsageError(
            f"there is no run '{run_id}'; see them with: memoryflow sql \"FROM run_summary\""
        )
    row = rows[0]
    counters = orjson.loads(row.pop("counters"))
    spec = orjson.loads(row.pop("pipeline_spec"))
    counts = counters.get("counters", {})
    row["steps"] = _steps(warehouse, row["run_id"], spec)
    row["read"] = _flow(counts.get("read"))
    row["messages"] = _known(counts.get("messages"))
    row["reasons"] = _prefixed(counts.get("read", {}), "dead_letters.")
    row["filters"] = _prefixed(counts.get("read", {}), "filtered.")
    row["slices_ms"] = counts.get(SLICES, {}).get(MILLISECONDS)
    row["spent"] = counters.get("spent", {})
    return row


def _flow(read: Row | None) -> Row | None:
    """Conservation: in = out + filtered + dead letters, and whether it holds."""
    if not read:
        return None
    flow = {name: read.get(name, 0) for name in ("in", "out", "filtered", "dead_letters")}
    flow["holds"] = flow["in"] == flow["out"] + flow["filtered"] + flow["dead_letters"]
    return flow


def _known(messages: Row | None) -> Row | None:
    """What became of messages that were read."""
    if messages is None:
        return None
    return {name: messages.get(name, 0) for name in ("new", "repeated", "erased")}


def _prefixed(counts: Row, prefix: str) -> Row:
    return {k.removeprefix(prefix): v for k, v in sorted(counts.items()) if k.startswith(prefix)}


def _steps(warehouse: Warehouse, run_id: str, spec: Row) -> list[Row]:
    operators = {step["id"]: step.get("operator", "") for step in spec.get("steps", [])}
    rows = warehouse.query(
        f"FROM ({_SQL['run_steps']}) WHERE run_id = {literal(run_id)} ORDER BY place, step"
    ).to_pylist()
    longest = max((row["milliseconds"] or 0 for row in rows), default=0) or 1
    for row in rows:
        counts = orjson.loads(row.pop("counts"))
        row["operator"] = operators.get(row["step"], "")
        row["share"] = 100 * (row["milliseconds"] or 0) / longest
        row["told"] = {name: counts[name] for name in _COUNTED if counts.get(name)}
    return rows


def models(warehouse: Warehouse) -> Row:
    """Calls that memory rests on, by model and step; vectors by model."""
    calls = warehouse.query(
        "SELECT model_id, step, count(*) AS calls, sum(tokens_in) AS tokens_in, "
        "sum(tokens_out) AS tokens_out, sum(cached_tokens) AS cached_tokens, sum(cost) AS cost, "
        "count(*) FILTER (status <> 'ok') AS not_ok, median(latency_ms) AS latency_ms "
        "FROM artifacts GROUP BY ALL ORDER BY calls DESC, model_id, step LIMIT 30"
    ).to_pylist()
    vectors = warehouse.query(
        "SELECT model_id, count(*) AS vectors FROM embeddings GROUP BY ALL ORDER BY ALL"
    ).to_pylist()
    summed = ("calls", "tokens_in", "tokens_out", "cached_tokens", "cost")
    totals = {name: sum(row[name] or 0 for row in calls) for name in summed}
    return {"calls": calls, "vectors": vectors, "totals": totals}


def growth(warehouse: Warehouse) -> Row:
    """The last runs, and messages added up over all of them."""
    runs = warehouse.query(
        f"SELECT run_id, job, pipeline, status, started_at, seconds, new_messages, "
        f"rows_per_second, dead_letters, cost FROM ({_SQL['run_summary']}) "
        f"ORDER BY started_at DESC, run_id LIMIT {_SHOWN_RUNS}"
    ).to_pylist()
    totals = warehouse.rows(
        "SELECT n, total FROM (SELECT row_number() OVER o AS n, sum(new_messages) OVER o AS total, "
        f"count(*) OVER () AS runs FROM ({_SQL['run_summary']}) "
        "WINDOW o AS (ORDER BY started_at, run_id)) "
        # At most 200 points, the last among them.
        "WHERE n = runs OR n % greatest(1, runs // 200) = 0 ORDER BY n"
    )
    points = [(float(n), float(total or 0)) for n, total in totals]
    return {"runs": runs, "line": line_points(points), "total": points[-1][1] if points else 0}
