"""A search logs its accesses beside a running stream, which goes on as if nothing had been."""

import json
from pathlib import Path

import orjson
import pytest

from pipelines.plan import plan
from tests.jobs.builds import digest_at, pipeline_copy, rows_at, sample_lines
from tests.jobs.processes import RUN_SECONDS, cli, running, wait_until
from tests.jobs.stream.here import append, batch_here

pytestmark = pytest.mark.slow

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
        stream.wait_for_line("engine ready")
        wait_until(lambda: messages_at(warehouse) == half, RUN_SECONDS, "messages", pause=0.3)
        done = cli("search", LINES[0]["text"], "-w", warehouse, "-k", 3, "--json", "--log-access")
        assert done.code == 0, done.stderr
        found = [row["id"] for row in json.loads(done.stdout)]
        assert [row for (row,) in rows_at(warehouse, "accesses", "memory_id")] == sorted(found)
        append(log, [orjson.dumps(line) for line in LINES[half:]])
        wait_until(lambda: messages_at(warehouse) == len(LINES), RUN_SECONDS, "messages", pause=0.3)
        stream.process.terminate()
        assert stream.finish().code == 0
    assert len(rows_at(warehouse, "accesses", "memory_id")) == len(found)
    batch_here(tmp_path / "batch", [orjson.dumps(line) for line in LINES], plan(pipeline))
    assert digest_at(warehouse) == digest_at(tmp_path / "batch")
