"""A real run as it is seen from outside: log lines, events, spans, report; and one that fails."""

import json
from pathlib import Path

import pytest

from jobs.observe.lineage import run_uuid
from tests.jobs.builds import build_here, sample_lines, write_log
from tests.jobs.processes import cli
from transforms.warehouse.connection import open_warehouse

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lines = sample_lines(per_log=40, conversations_per_log=1)
    return write_log(tmp_path_factory.mktemp("observed") / "log.jsonl", lines)


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_run(log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openlineage.client")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    folder, events, page = (tmp_path / name for name in ("w", "events.jsonl", "report.html"))
    done = cli(
        *("run", "conversation_memory", "--input", log, "--warehouse", folder, "--workers", 1),
        *("--log-format", "json", "--events", events, "--report", page, "--json"),
    )

    assert done.code == 0, done.stderr
    said = lines(done.stderr)
    with open_warehouse(folder, read_only=True) as opened:
        ((run_id, seconds),) = opened.rows("SELECT run_id, seconds FROM run_summary")
        steps = dict(opened.rows("SELECT step, milliseconds FROM run_steps"))
        messages = opened.rows("SELECT count(*) FROM messages")[0][0]
    assert {line["run_id"] for line in said} == {run_id}
    told = [line["event"] for line in said]
    for event in ("run.started", "engine.ready", "read.done", "commit.written", "run.ended"):
        assert event in told
    assert told.index("commit.writing") < told.index("commit.written")
    spans = [json.loads(str(line["message"])) for line in said if line["event"] == "stderr"]
    assert {"memoryflow run", "engine start", "read", "slice", "commit"} == {
        span["name"] for span in spans
    }
    assert seconds > 0
    assert steps["embed"] > 0
    assert json.loads(done.stdout)["counters"]["slices"]["milliseconds"] >= steps["embed"]

    start, complete = lines(events.read_text())
    assert complete["eventType"] == "COMPLETE"
    assert start["run"]["runId"] == run_uuid(run_id)
    written = {
        Path(out["name"]).name: out["outputFacets"]["outputStatistics"]["rowCount"]
        for out in complete["outputs"]
    }
    assert written["messages"] == messages
    assert {"facts", "embeddings", "runs", "offsets"} <= set(written)
    assert run_id in page.read_text("utf-8")


def test_a_run_that_fails(log: Path, tmp_path: Path) -> None:
    pytest.importorskip("openlineage.client")
    events = tmp_path / "events.jsonl"
    done = cli(
        *("run", "conversation_memory", "--input", log, "--warehouse", tmp_path / "w"),
        *("--address", "127.0.0.1:1", "--log-format", "json", "--events", events),
    )

    assert done.code == 4
    said = lines(done.stderr)
    assert said[-1]["event"] == "command.failed"
    assert len({line["run_id"] for line in said}) == 1
    assert "Check the address" in str(said[-1]["message"])
    (failed,) = [line for line in said if line["event"] == "run.failed"]
    start, fail = lines(events.read_text())
    assert (start["eventType"], fail["eventType"]) == ("START", "FAIL")
    assert run_uuid(str(failed["run_id"])) == start["run"]["runId"] == fail["run"]["runId"]
    assert "Check the address" in fail["run"]["facets"]["errorMessage"]["message"]


def test_errors_before_a_run_are_objects_too(log: Path) -> None:
    done = cli("run", "no_such_pipeline", "--input", log, "--log-format", "json")
    assert done.code == 2
    (line,) = lines(done.stderr)
    assert (line["event"], line["run_id"], line["exit_code"]) == ("command.failed", None, 2)

    wrong = cli("run", "conversation_memory", "--input", log, "--log-format", "xml")
    assert (wrong.code, "text, json" in wrong.stderr) == (2, True)


def test_a_stream_says_the_same(log: Path, tmp_path: Path) -> None:
    pytest.importorskip("openlineage.client")
    folder, events = tmp_path / "w", tmp_path / "events.jsonl"
    done = cli(
        *("stream", "conversation_memory", "--source", log, "--warehouse", folder, "--workers", 1),
        *("--until-idle", "1", "--log-format", "json", "--events", events),
    )

    assert done.code == 0, done.stderr
    said = lines(done.stderr)
    with open_warehouse(folder, read_only=True) as opened:
        ((run_id, steps),) = opened.rows(
            "SELECT run_id, sum(milliseconds) FROM run_steps GROUP BY 1"
        )
    assert {line["run_id"] for line in said} == {run_id}
    assert {"engine.ready", "commit.written", "stream.ended"} <= {line["event"] for line in said}
    assert steps > 0
    assert [event["eventType"] for event in lines(events.read_text())] == ["START", "COMPLETE"]


def test_forget_and_consolidate_take_part(log: Path, tmp_path: Path, ray_here: None) -> None:
    pytest.importorskip("openlineage.client")
    folder, events = tmp_path / "w", tmp_path / "events.jsonl"
    build_here(folder, log)
    observed = ("--log-format", "json", "--events", events, "--warehouse", folder)
    idle = cli("consolidate", *observed)
    assert idle.code == 0, idle.stderr
    gone = cli("forget", "--conversation", "team-0", *observed)
    assert gone.code == 0, gone.stderr

    assert {line["job"] for line in lines(idle.stderr)} == {"consolidate"}
    assert {line["job"] for line in lines(gone.stderr)} == {"forget"}
    states = [event["eventType"] for event in lines(events.read_text())]
    assert states == ["START", "COMPLETE"] * 2
