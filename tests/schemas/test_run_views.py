"""`run_summary` and `run_steps`: what is counted as JSON, as columns."""

import json
from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from schemas.tables import TABLES
from schemas.views import VIEWS
from tests.transforms.warehouse.rows import make_rows

SQL = {view.name: view.sql for view in VIEWS}
START = datetime(2024, 3, 1, tzinfo=UTC)
BATCH = {
    "counters": {
        "read": {"in": 100, "out": 90, "filtered": 3, "dead_letters": 7},
        "messages": {"in": 90, "new": 80, "repeated": 8, "erased": 2},
        "model_calls": {"answered": 60},
        "embed": {"computed": 3, "kept": 1, "in": 80, "milliseconds": 1200, "embedded": 60},
        "sessions": {"computed": 4, "kept": 0},
        "slices": {"milliseconds": 2000},
    },
    "commits": 2,
    "spent": {"calls": 5, "tokens_in": 1000, "tokens_out": 10, "cached_tokens": 4, "cost": 0.125},
    "stopped": "budget",
}
STREAM = {"counters": {"messages": {"in": 50, "new": 50}}, "messages": 55, "commits": 9}


@pytest.fixture(scope="module")
def lake():
    with duckdb.connect() as connection:
        rows = [run("r1", BATCH, 10), run("r2", STREAM, 0), run("r3", {}, 5)]
        given = make_rows("runs", rows)
        connection.register("given", given)
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("CREATE TABLE runs AS FROM given")
        yield connection


def run(run_id, counters, seconds):
    spec = {"steps": [{"id": "sessions"}, {"id": "embed"}]}
    return {
        "run_id": run_id,
        "started_at": START,
        "finished_at": START + timedelta(seconds=seconds),
        "counters": json.dumps(counters),
        "pipeline_spec": json.dumps(spec),
    }


def summary(lake, run_id):
    found = lake.execute(f"FROM ({SQL['run_summary']}) WHERE run_id = ?", [run_id])
    return found.to_arrow_table().to_pylist()[0]


def test_a_batch_run(lake):
    found = summary(lake, "r1")
    wanted = {
        **{"seconds": 10.0, "rows_read": 100, "rows_per_second": 10.0, "commits": 2},
        **{"new_messages": 80, "repeated_messages": 8, "erased_messages": 2, "filtered": 3},
        **{"dead_letters": 7, "texts_embedded": 60, "llm_calls": 5, "tokens_in": 1000},
        **{"cached_tokens": 4, "tokens_out": 10, "cost": 0.125, "stopped": "budget"},
    }
    assert {name: found[name] for name in wanted} == wanted


def test_a_stream_that_took_no_time(lake):
    found = summary(lake, "r2")
    assert (found["rows_read"], found["new_messages"], found["rows_per_second"]) == (55, 50, None)


def test_a_run_that_counts_nothing(lake):
    assert summary(lake, "r3")["rows_read"] is None


def test_steps_in_the_order_of_the_pipeline(lake):
    rows = lake.execute(
        f"SELECT place, step, computed, kept, rows_in, milliseconds FROM ({SQL['run_steps']}) "
        "ORDER BY run_id, place"
    ).fetchall()
    assert rows == [(1, "sessions", 4, 0, None, None), (2, "embed", 3, 1, 80, 1200)]


def test_the_columns_of_runs_are_those_of_the_registry():
    assert {"counters", "pipeline_spec"} <= set(TABLES["runs"].schema.names)
