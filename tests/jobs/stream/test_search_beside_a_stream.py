"""A search logs its accesses beside a running stream, which goes on as if nothing had been."""

import json
from pathlib import Path

import orjson
import pytest

from tests.jobs.builds import build_here, digest_at, pipeline_copy, rows_at, sample_lines, write_log
from tests.jobs.processes import cli, running, wait_until
from tests.jobs.stream.here import append

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_here")]

LINES = sample_lines(per_log=12, conversations_per_log=1)


def messages_at(warehouse: Path) -> int:
    if not (warehouse / "memoryflow.json").exists():
        return 0
    return len(rows_at(warehouse, "messages", "message_id"))


def test_accesses_logged_beside_a_stream(tmp_path: Path) -> None:
    warehouse, log = tmp_path / "w", tmp_path / "log.jsonl"
    pipeline = pipeline_copy(
        tmp_path / "p.yaml", (r"allowed_lateness: \S+", "allowed_lateness: 3650d")
    )
    half = len(LINES) // 2
    append(log, [orjson.dumps(line) for line in LINES[:half]])
    with running(*("stream", pipeline, "--source", log, "-w", warehouse, "--workers", 1)) as stream:
        stream.wait_for_line("engine ready", 120)
        wait_until(lambda: messages_at(warehouse) == half, 60, "messages", pause=0.3)
        done = cli("search", LINES[0]["text"], "-w", warehouse, "-k", 3, "--json", "--log-access")
        assert done.code == 0, done.stderr
        found = [row["id"] for row in json.loads(done.stdout)]
        assert [row for (row,) in rows_at(warehouse, "accesses", "memory_id")] == sorted(found)
        append(log, [orjson.dumps(line) for line in LINES[half:]])
        wait_until(lambda: messages_at(warehouse) == len(LINES), 60, "messages", pause=0.3)
        stream.process.terminate()
        assert stream.finish(60).code == 0
    assert len(rows_at(warehouse, "accesses", "memory_id")) == len(found)
    build_here(tmp_path / "batch", write_log(tmp_path / "all.jsonl", LINES))
    assert digest_at(warehouse) == digest_at(tmp_path / "batch")
