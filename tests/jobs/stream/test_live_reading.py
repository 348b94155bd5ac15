"""Readers beside a stream that writes and keeps house: they never fail, and see whole commits."""

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import orjson
import psutil
import pytest

from pipelines.plan import plan
from tests.jobs.builds import digest_at, pipeline_copy, rows_at, sample_lines
from tests.jobs.processes import (
    REPO,
    RUN_SECONDS,
    Running,
    cli,
    environment,
    running,
    wait_until,
)
from tests.jobs.stream.here import append, batch_here
from transforms.warehouse.connection import METADATA, open_warehouse

pytestmark = pytest.mark.slow

LINES = sample_lines(per_log=50)
FOUND_WITHIN = 120.0
"""Far more than it takes, since the search itself is a process that may be stopped for seconds."""

ROUNDS = 3
MOST_SNAPSHOTS, MOST_FILES = 12, 200
NEEDLE: dict[str, Any] = {
    "conversation_id": "team-0",
    "message_id": "needle",
    "speaker": "Ines",
    "timestamp": "2025-02-03T09:40:00Z",
    "text": "The spare key of the boathouse hangs behind the Quaxolotry clock.",
}
# One statement, hence one snapshot: rows of messages, facts without their message, messages
# without their session, texts of facts without a vector.
CHECKS = """
SELECT (SELECT count(*) FROM messages),
  (SELECT count(*) FROM facts ANTI JOIN messages USING (tenant, conversation_id, message_id)),
  (SELECT count(*) FROM messages ANTI JOIN sessions USING (tenant, conversation_id, session_id)
    WHERE is_current),
  (SELECT count(DISTINCT (tenant, conversation_id, text)) FROM facts)
    - (SELECT count(*) FROM embeddings)
"""
READER = f"""
import sys, time, pathlib
from transforms.warehouse.connection import open_warehouse
folder, stop = map(pathlib.Path, sys.argv[1:])
most = loops = 0
last = False
with open_warehouse(folder, read_only=True, threads=1) as opened:
    while not last:
        time.sleep(0.05)
        last = stop.exists()
        messages, *astray = opened.rows('''{CHECKS}''')[0]
        assert messages >= most and astray == [0, 0, 0], (messages, most, astray)
        most, loops = messages, loops + 1
print(loops, most)
"""


@dataclass
class Seen:
    """Storage as `status` told it, over time."""

    live_files: list[int] = field(default_factory=list[int])
    snapshots: list[int] = field(default_factory=list[int])


def test_readers_never_fail(tmp_path: Path) -> None:
    warehouse, log = tmp_path / "w", tmp_path / "log.jsonl"
    pipeline = pipeline_copy(
        tmp_path / "p.yaml",
        (r"allowed_lateness: \S+", "allowed_lateness: 3650d"),
        (r"early: \S+", "early: 0.1s"),
        (r"commit_interval: \S+", "commit_interval: 0.1s"),
        (r"housekeeping_interval: \S+", "housekeeping_interval: 1s"),
        # As long a statement may take here: one whose snapshot has expired finds no rows.
        (r"keep_every_snapshot: \S+", "keep_every_snapshot: 30s"),
    )
    append(log, [orjson.dumps(line) for line in LINES[:5]])
    every = [orjson.dumps(line) for line in [*LINES, NEEDLE]]
    batch_here(tmp_path / "batch", every, plan(pipeline))
    with running(
        *("stream", pipeline, "--source", log, "-w", warehouse),
        *("--workers", 1, "--metrics-port", 0, "--verbose"),
    ) as stream:
        stream.wait_for_line("commit 1: snapshot")
        # The reader goes on until all that is written is in, and has one more look.
        with reading(warehouse, tmp_path / "stop") as reader:
            with writing(log):
                check_metrics(stream)
                seen = ask_meanwhile(warehouse, log, stream)
            wait_until(lambda: is_all_in(warehouse), RUN_SECONDS, "last message", pause=1.0)
        check_reader(reader)
        # Nothing more is written: what housekeeping may let go, it lets go.
        wait_until(lambda: rests(status(warehouse)), RUN_SECONDS, "rest", pause=0.5)
        stream.process.terminate()
        done = stream.finish()
    assert done.code == 0, done.stderr
    files, snapshots = ever_written(warehouse)
    assert files > max(seen.live_files)
    assert snapshots > MOST_SNAPSHOTS
    assert digest_at(warehouse) == digest_at(tmp_path / "batch")


def is_all_in(warehouse: Path) -> bool:
    return len(rows_at(warehouse, "messages", "message_id")) == len(LINES) + 1


def rests(told: dict[str, Any]) -> bool:
    """Everything is in, in few files and snapshots."""
    storage = told["storage"]
    return (
        told["counts"]["messages"] == len(LINES) + 1
        and storage["snapshots"] <= MOST_SNAPSHOTS
        and storage["live_files"] <= MOST_FILES
    )


def ever_written(warehouse: Path) -> tuple[int, int]:
    """Data files and snapshots that there have been."""
    with open_warehouse(warehouse, read_only=True) as opened:
        files = opened.rows(f"SELECT max(data_file_id) FROM {METADATA}.ducklake_data_file")
        return int(files[0][0]), opened.current_snapshot()


@contextmanager
def writing(log: Path) -> Iterator[None]:
    """The rest of the log, a few lines at a time."""

    def write() -> None:
        for start in range(5, len(LINES), 2):
            append(log, [orjson.dumps(line) for line in LINES[start : start + 2]])
            time.sleep(0.4)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        writer.join()


@contextmanager
def reading(warehouse: Path, stop: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process with one connection that asks on and on."""
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, warehouse, stop],
        cwd=REPO,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield reader
    finally:
        stop.touch()


def check_reader(reader: "subprocess.Popen[str]") -> None:
    out, errors = reader.communicate(timeout=RUN_SECONDS)
    assert reader.returncode == 0, errors
    loops, messages = map(int, out.split())
    assert loops > 10
    assert messages == len(LINES) + 1


def status(warehouse: Path) -> dict[str, Any]:
    done = cli("status", "--json", "-w", warehouse)
    assert done.code == 0, done.stderr
    return json.loads(done.stdout)


def ask_meanwhile(warehouse: Path, log: Path, stream: Running) -> Seen:
    """Every reading command, while the log grows; one message is looked for."""
    seen, most = Seen(), 0
    append(log, [orjson.dumps(NEEDLE)])
    appended, found = time.monotonic(), False
    while not found or len(seen.snapshots) < ROUNDS:
        assert not stream.ended, "".join(stream.lines)
        found = found or finds_needle(warehouse)
        assert found or time.monotonic() - appended < FOUND_WITHIN
        told = status(warehouse)
        assert told["stream"]["state"] == "running"
        assert told["counts"]["messages"] >= most
        most = told["counts"]["messages"]
        seen.live_files.append(told["storage"]["live_files"])
        seen.snapshots.append(told["storage"]["snapshots"])
        done = cli("sql", "--json", CHECKS, "-w", warehouse)
        assert done.code == 0, done.stderr
        count, *astray = json.loads(done.stdout)[0].values()
        assert (count >= most, astray) == (True, [0, 0, 0])
        most = count
    return seen


def finds_needle(warehouse: Path) -> bool:
    done = cli("search", "--json", "Where is the spare key of the boathouse?", "-w", warehouse)
    assert done.code == 0, done.stderr
    results = json.loads(done.stdout)
    return any(NEEDLE["message_id"] in result["source_message_ids"] for result in results)


def scraped(port: int) -> str:
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        return answer.read().decode()


def number_in(text: str, name: str) -> float:
    """A metric without labels; 0 where it is not there yet."""
    found = re.search(rf"^memoryflow_{name} (\S+)$", text, flags=re.MULTILINE)
    return float(found[1]) if found else 0.0


def check_metrics(stream: Running) -> None:
    """The numbers are there, and on loopback only."""
    told = next(m for line in stream.lines if (m := re.search(r"http://127.0.0.1:(\d+)/", line)))
    port = int(told[1])
    # They follow the commits by up to a second.
    wait_until(
        lambda: number_in(scraped(port), "commits_total") > 0, RUN_SECONDS, "commit in the metrics"
    )
    text = scraped(port)
    assert number_in(text, "messages_total") > 0
    # Freshness is of the last minute, which is why this is asked first of all.
    assert 'memoryflow_freshness_seconds{quantile="0.95"}' in text
    listening = [
        found.laddr.ip
        for found in psutil.Process(stream.process.pid).net_connections("inet")
        if found.status == psutil.CONN_LISTEN and found.laddr.port == port
    ]
    assert listening == ["127.0.0.1"]
