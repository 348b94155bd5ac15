import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from jobs.run_record import RunRecord
from jobs.status import status, status_json
from jobs.status_text import render_status
from jobs.stream.last_pulse import last_pulse
from jobs.stream.pulse import PULSE_FILE, Pulse
from tests.jobs.processes import cli
from tests.jobs.stream.pulses import STANDING, WATERMARK, report
from tests.transforms.warehouse.rows import make_rows
from transforms.warehouse.commit import ChangeSet, commit, upsert
from transforms.warehouse.connection import Warehouse, open_warehouse
from transforms.warehouse.errors import WarehouseError

NEWEST = datetime(2024, 3, 1, 18, tzinfo=UTC)
KEYS = [
    *("warehouse", "at", "stream", "watermark", "open_sessions", "lag", "newest_message"),
    *("counts", "dead_letters", "positions", "input_files", "runs", "storage"),
]


def fill(warehouse: Warehouse) -> None:
    """Three messages, sessions that end 0, 5 and 9 hours before the newest, bad lines."""
    times = [NEWEST - timedelta(hours=hours) for hours in (0, 5, 9)]
    messages = [
        {"conversation_id": f"c{i % 2}", "message_id": f"m{i}", "timestamp": time}
        for i, time in enumerate(times)
    ]
    sessions = [
        {"conversation_id": f"c{i % 2}", "session_id": f"s{i}", "end_time": time}
        for i, time in enumerate(times)
    ]
    letters = [
        {"dead_letter_id": f"d{i}", "step": step, "reason": reason}
        for i, (step, reason) in enumerate(
            [("read", "not_json"), ("read", "not_json"), ("event_time", "too_late")]
        )
    ]
    facts = [
        {"fact_id": f"f{i}", "status": status} for i, status in enumerate(("active", "duplicate"))
    ]
    rows = {"messages": messages, "sessions": sessions, "dead_letters": letters, "facts": facts}
    rows["scenes"] = [{"scene_id": "scene_0"}]
    rows["personas"] = [{"persona_id": f"persona_{i}"} for i in range(2)]
    commit(warehouse, [ChangeSet(t, inserts=make_rows(t, r)) for t, r in rows.items()])


def stream_record(warehouse: Warehouse, *, spec: str | None = None) -> None:
    """What a stream commits beside memory: its run, and positions of two partitions."""
    from pipelines.plan import plan

    run = RunRecord("stream", plan("conversation_memory"), "chat").row("live", {})
    if spec is not None:
        place = run.column_names.index("pipeline_spec")
        run = run.set_column(place, run.schema.field(place), [[spec]])
    times = (NEWEST, NEWEST - timedelta(hours=2))
    fast, slow = (f'{{"newest":{int(t.timestamp() * 1_000_000)}}}' for t in times)
    offsets = [
        {
            "source": "chat",
            "partition": "1",
            "position": "17",
            "state": slow,
        },
        {
            "source": "chat",
            "partition": "0",
            "position": "42",
            "state": fast,
        },
        {"source": "chat", "partition": "2", "position": "0", "state": '{"newest":null}'},
        {"source": "old.jsonl", "partition": "file", "state": '{"bad": 1}'},
    ]
    commit(warehouse, [], [upsert("runs", run), upsert("offsets", make_rows("offsets", offsets))])


def pulse_at(folder: Path, **changes: object) -> None:
    """A pulse of this process, as the stream writes it, then changed."""
    pulse = Pulse(folder, report(), None, quiet=True)
    pulse.beat(lambda: STANDING)
    content = json.loads((folder / PULSE_FILE).read_text()) | changes
    (folder / PULSE_FILE).write_bytes(orjson.dumps(content))


def dead_pid() -> int:
    """Id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait(60)
    return process.pid


def look(warehouse: Warehouse) -> dict[str, Any]:
    found = status(warehouse, datetime.now(UTC))
    assert list(found) == KEYS
    assert list(json.loads(status_json(found))) == KEYS
    assert render_status(found)
    return found


def test_empty_warehouse(warehouse: Warehouse) -> None:
    found = look(warehouse)

    assert found["stream"] is None
    assert (found["watermark"], found["open_sessions"], found["newest_message"]) == (None,) * 3
    assert set(found["lag"].values()) == {None}
    assert set(found["counts"].values()) == {0}
    assert found["runs"] == found["positions"] == found["dead_letters"] == []
    assert "none so far" in render_status(found)


def test_never_streamed(warehouse: Warehouse) -> None:
    fill(warehouse)
    found = look(warehouse)

    assert found["counts"] == {
        "messages": 3,
        "conversations": 2,
        "sessions": 3,
        "facts": 2,
        "active_facts": 1,
        "entities": 0,
        "episodes": 0,
        "scenes": 1,
        "personas": 2,
        "dead_letters": 3,
    }
    assert found["dead_letters"] == [
        {"step": "read", "reason": "not_json", "count": 2},
        {"step": "event_time", "reason": "too_late", "count": 1},
    ]
    assert found["newest_message"] == NEWEST
    assert found["open_sessions"] is None
    storage = found["storage"]
    assert storage["live_files"] == 6
    assert storage["snapshots"] >= 2
    assert storage["disk_bytes"] > storage["live_bytes"] > 0


def test_stopped_stream_from_its_tables(warehouse: Warehouse) -> None:
    fill(warehouse)
    stream_record(warehouse)
    found = look(warehouse)

    # The slower partition, less a minute of disorder; the gap is six hours.
    assert found["watermark"] == NEWEST - timedelta(hours=2, minutes=1)
    assert found["open_sessions"] == 2
    assert found["lag"] == {"pulse_seconds": None, "backlog": None, "event_time_seconds": 7260.0}
    assert [(p["partition"], p["position"], p["newest"]) for p in found["positions"]] == [
        ("0", "42", NEWEST),
        ("1", "17", NEWEST - timedelta(hours=2)),
        ("2", "0", None),
    ]
    assert found["input_files"] == 1
    assert [(run["job"], run["status"]) for run in found["runs"]] == [("stream", "live")]
    text = render_status(found)
    assert "2 open" in text
    assert "2:01:00 before the newest message" in text
    assert "no message yet" in text


def test_a_run_that_did_not_end_is_not_said_to_run(warehouse: Warehouse) -> None:
    commit(warehouse, [], [upsert("runs", make_rows("runs", [{"status": "running"}]))])
    found = look(warehouse)

    assert found["runs"][0]["status"] == "running"
    assert "not finished" in render_status(found)
    assert "running" not in render_status(found)


def test_pipeline_that_cannot_be_loaded(warehouse: Warehouse) -> None:
    fill(warehouse)
    stream_record(warehouse, spec='{"version": 1, "name": "gone", "steps": [{"operator": "gone"}]}')
    found = look(warehouse)

    assert found["open_sessions"] is None
    assert found["watermark"] == NEWEST - timedelta(hours=2)


def test_live_stream(warehouse: Warehouse) -> None:
    fill(warehouse)
    stream_record(warehouse)
    pulse_at(warehouse.path)
    found = look(warehouse)

    assert found["stream"]["state"] == "running"
    assert found["stream"]["pid"] == os.getpid()
    assert found["stream"]["backlog"] == {"chat 0": 11, "chat 1": 0, "redis talk": 5}
    assert (found["watermark"], found["open_sessions"]) == (WATERMARK, 3)
    assert found["lag"]["backlog"] == 16
    assert 0 <= found["lag"]["pulse_seconds"] < 30
    assert found["lag"]["event_time_seconds"] == 6 * 3600
    text = render_status(found)
    assert "searchable after 1.0 s (p95 2.0 s)" in text
    assert "redis: connection refused" in text


def test_killed_stream(warehouse: Warehouse) -> None:
    fill(warehouse)
    stream_record(warehouse)
    pulse_at(warehouse.path, pid=dead_pid())
    found = look(warehouse)

    assert found["stream"]["state"] == "killed"
    assert found["stream"]["messages"] == 100, "what it last said stays"
    assert found["open_sessions"] == 2, "of the tables: what it said was not all committed"
    assert found["lag"]["pulse_seconds"] is None
    assert "KILLED" in render_status(found)


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"state": "ended"}, "ended"),
        ({"state": "waiting", "at": "2024-01-01T00:00:00Z"}, "waiting"),
        ({"at": "2024-01-01T00:00:00Z"}, "silent"),
        ({"started_at": "2001-01-01T00:00:00Z"}, "killed"),  # This process is younger.
        ({"pid": 2**40}, "killed"),
    ],
    ids=["ended", "waiting", "silent", "another process", "no such id"],
)
def test_states(tmp_path: Path, changes: dict[str, Any], state: str) -> None:
    pulse_at(tmp_path, **changes)
    found = last_pulse(tmp_path, datetime.now(UTC))

    assert found is not None
    assert found.state == state


@pytest.mark.parametrize("content", ["", "[]", "null", "{}", '{"state": 1, "pid": "x"}'])
def test_not_a_pulse(tmp_path: Path, content: str) -> None:
    (tmp_path / PULSE_FILE).write_text(content)

    assert last_pulse(tmp_path, datetime.now(UTC)) is None


def test_control_characters_are_not_printed(warehouse: Warehouse) -> None:
    pulse_at(warehouse.path, troubles={"redis": "bad\x1b[2J answer"})

    assert "\x1b" not in render_status(look(warehouse))


def test_while_a_writer_has_it_open(folder: Path, warehouse: Warehouse) -> None:
    fill(warehouse)
    stream_record(warehouse)
    with open_warehouse(folder, read_only=True) as reader:
        assert look(reader)["counts"]["messages"] == 3
        row = {"message_id": "m9", "timestamp": NEWEST}
        commit(warehouse, [ChangeSet("messages", inserts=make_rows("messages", [row]))])
        assert look(reader)["counts"]["messages"] == 4


def test_many_rows_are_cut_in_the_text_only(warehouse: Warehouse) -> None:
    rows = [{"source": "chat", "partition": f"{i:03}", "state": '{"newest":0}'} for i in range(50)]
    commit(warehouse, [], [upsert("offsets", make_rows("offsets", rows))])
    found = look(warehouse)

    assert len(found["positions"]) == 50
    assert "and 38 more" in render_status(found)


def test_no_warehouse(tmp_path: Path) -> None:
    with pytest.raises(WarehouseError), open_warehouse(tmp_path / "none", read_only=True):
        pass


@pytest.mark.slow
def test_command(folder: Path, warehouse: Warehouse) -> None:
    fill(warehouse)
    stream_record(warehouse)
    pulse_at(folder)

    text = cli("status", "--warehouse", folder)
    as_json = cli("status", "--warehouse", folder, "--json")

    assert (text.code, as_json.code) == (0, 0), text.stderr + as_json.stderr
    assert "running" in text.stdout
    assert json.loads(as_json.stdout)["stream"]["state"] == "running"
    assert cli("status", "--warehouse", folder / "none").code == 4
