"""Invariant 3, live: killed at any moment and started again, nothing is lost or paid twice.

The short form kills at every boundary of the first commits and at a few random points;
MEMORYFLOW_KILLS=50 is the long form.
"""

import os
import random
import re
import time
from collections import Counter
from pathlib import Path

import orjson
import pytest

from operators.embedding.journal import VectorJournal
from operators.embedding.model_id import DIMENSION, MODEL_ID
from tests.jobs.builds import (
    build_here,
    digest_at,
    pipeline_copy,
    rows_at,
    sample_lines,
    shuffled,
    write_log,
)
from tests.jobs.processes import Running, running, wait_until
from transforms.warehouse.connection import JOURNAL_DIR, open_warehouse

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_here")]

LINES = sample_lines()
KILLS = int(os.environ.get("MEMORYFLOW_KILLS", "4"))
BOUNDARIES = ("1: writing", "1: snapshot", "2: writing")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, ray_here: None) -> Path:
    """A log in arrival order, a pipeline that commits often, and the digest of one batch run."""
    folder = tmp_path_factory.mktemp("stream-kill")
    pipeline_copy(
        folder / "p.yaml",
        (r"slice_chars: \S+", "slice_chars: 1000"),
        (r"max_in_flight_mib: \S+", "max_in_flight_mib: 0.004"),
        (r"commit_interval: \S+", "commit_interval: 0.05s"),
        (r"early: \S+", "early: 0.05s"),
        (r"allowed_lateness: \S+", "allowed_lateness: 3650d"),
        # The journal then holds every answer of all lives of the stream.
        (r"housekeeping_interval: \S+", "housekeeping_interval: 1d"),
    )
    lines = shuffled(LINES) + shuffled(LINES, 3)[: len(LINES) // 20]
    half = len(lines) // 2
    write_log(folder / "logs" / "a.jsonl", lines[:half])
    write_log(folder / "logs" / "b.jsonl", lines[half:])
    build_here(folder / "batch", folder / "logs")
    return folder


def arguments(work: Path, warehouse: Path) -> list[object]:
    options = ["--until-idle", 1, "--workers", 2, "--verbose"]
    return ["stream", work / "p.yaml", "--source", work / "logs", "-w", warehouse, *options]


def test_kills_at_boundaries_and_at_random(work: Path, tmp_path: Path) -> None:
    warehouse = tmp_path / "w"
    chance = random.Random(KILLS)
    moments = [*BOUNDARIES, *[None] * (KILLS - len(BOUNDARIES))]
    for moment in moments:
        with running(*arguments(work, warehouse)) as stream:
            if moment is None:
                kill_at_random(stream, chance)
            else:
                stream.wait_for_line(f"^commit {moment}|ended:")
                stream.kill()
        assert_hangs_together(warehouse)
    forever = [part for part in arguments(work, warehouse) if part not in ("--until-idle", 1)]
    with running(*forever) as stream:
        stream.wait_for_line("engine ready")
        wait_until(lambda: is_idle(warehouse, stream) or stream.ended, 120, "end of the log")
        stream.kill()
    answered = answers(warehouse)
    assert max(answered.values()) == 1, "a text was embedded twice"

    with running(*arguments(work, warehouse)) as stream:
        done = stream.finish()

    assert done.code == 0, done.stderr
    assert digest_at(warehouse) == digest_at(work / "batch")
    assert last_answered(warehouse) == 0
    all_texts = {text for (text,) in rows_at(warehouse, "embeddings", "text_hash")}
    assert all_texts <= set(answered)


def is_idle(warehouse: Path, stream: Running) -> bool:
    """Whether this life of the stream has committed all there is."""
    said = orjson.loads((warehouse / "stream.json").read_bytes())
    here = said["pid"] == stream.process.pid and said["state"] == "running"
    waiting = said["in_flight_messages"] or sum(said["backlog"].values())
    return here and said["messages"] > 0 and not waiting


def kill_at_random(stream: Running, chance: random.Random) -> None:
    """Some commits after the engine is up, at no particular point."""
    stream.wait_for_line("engine ready")
    number = chance.randint(1, 6)
    stream.wait_for_line(rf"^commit {number}: (writing|snapshot)|ended:")
    time.sleep(chance.random() * 0.3)
    stream.kill()


def assert_hangs_together(warehouse: Path) -> None:
    """What is committed is consistent: no fact without its message."""
    if not (warehouse / "memoryflow.json").exists():
        return
    messages = {(c, m) for c, m in rows_at(warehouse, "messages", "conversation_id", "message_id")}
    assert messages.issuperset(rows_at(warehouse, "facts", "conversation_id", "message_id"))


def answers(warehouse: Path) -> Counter[str]:
    """How often each text was answered in all lives of the stream."""
    records = VectorJournal(warehouse / JOURNAL_DIR / MODEL_ID, "reader", DIMENSION).load()
    return Counter(text_hash for text_hash, _ in records)


def last_answered(warehouse: Path) -> int:
    """Texts that the last life of the stream computed."""
    with open_warehouse(warehouse, read_only=True) as opened:
        rows = opened.rows(
            "SELECT (counters->'counters'->'model_calls'->>'answered')::INT FROM runs "
            "WHERE status = 'done' ORDER BY started_at DESC LIMIT 1"
        )
    return int(rows[0][0])


def test_sigterm_drains_and_commits(work: Path, tmp_path: Path) -> None:
    """No --until-idle: it would go on for ever; what was read when the signal came is in."""
    warehouse = tmp_path / "w"
    forever = [a for a in arguments(work, warehouse) if a not in ("--until-idle", 1)]
    with running(*forever) as stream:
        stream.wait_for_line("^commit 2: snapshot")
        stream.process.terminate()
        done = stream.finish(60)

        assert done.code == 0, done.stderr
        assert re.search(r"ended: \d+", done.stderr)
    read = int(re.search(r"ended: ([\d,]+) messages", done.stderr)[1].replace(",", ""))
    committed = len(rows_at(warehouse, "messages", "conversation_id", "message_id"))
    assert 0 < committed <= read

    with running(*arguments(work, warehouse)) as stream:
        again = stream.finish()
    assert again.code == 0, again.stderr
    assert digest_at(warehouse) == digest_at(work / "batch")
    second = int(re.search(r"ended: ([\d,]+) messages", again.stderr)[1].replace(",", ""))
    lines = sum(1 for path in (work / "logs").iterdir() for _ in path.open())
    assert read + second == lines, "a drained stream reads nothing twice"
