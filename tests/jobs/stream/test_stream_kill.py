"""Invariant 3, live: killed at any moment and started again, nothing is lost or paid twice.

The short form kills at two boundaries of the first commit and at one random point;
MEMORYFLOW_KILLS=50 is the long form. Others kill at boundaries of the second commit:
test_redis_stream, test_kafka_stream.
"""

import os
import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from jobs.stream.pulse import PULSE_FILE
from operators.embedding.journal import VectorJournal
from operators.embedding.model_id import DIMENSION, MODEL_ID
from pipelines.plan import plan
from tests.jobs.builds import (
    digest_at,
    pipeline_copy,
    rows_at,
    sample_lines,
    shuffled,
    write_log,
)
from tests.jobs.processes import RUN_SECONDS, Running, running, wait_until
from tests.jobs.stream.here import batch_here, stream_here
from transforms.warehouse.connection import JOURNAL_DIR, open_warehouse

pytestmark = pytest.mark.slow

LINES = sample_lines()
KILLS = int(os.environ.get("MEMORYFLOW_KILLS", "3"))
BOUNDARIES = ("1: writing", "1: snapshot", "2: writing")[: KILLS - 1]
LATENESS = (r"allowed_lateness: \S+", "allowed_lateness: 3650d")
NEVER = "(?!)"

Messages = list[tuple[str, ...]]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log in arrival order, a pipeline that commits often, and the digest of one batch run."""
    folder = tmp_path_factory.mktemp("stream-kill")
    pipeline_copy(
        folder / "p.yaml",
        (r"slice_chars: \S+", "slice_chars: 1000"),
        (r"max_in_flight_mib: \S+", "max_in_flight_mib: 0.004"),
        (r"commit_interval: \S+", "commit_interval: 0.05s"),
        (r"early: \S+", "early: 0.05s"),
        LATENESS,
        # The journal then holds every answer of all lives of the stream.
        (r"housekeeping_interval: \S+", "housekeeping_interval: 1d"),
    )
    lines = shuffled(LINES) + shuffled(LINES, 3)[: len(LINES) // 20]
    half = len(lines) // 2
    write_log(folder / "logs" / "a.jsonl", lines[:half])
    write_log(folder / "logs" / "b.jsonl", lines[half:])
    encoded = [orjson.dumps(line) for line in lines]
    batch_here(folder / "batch", encoded, plan(folder / "p.yaml"))
    return folder


def arguments(work: Path, warehouse: Path, *more: object, workers: int = 1) -> list[object]:
    options = ["--workers", workers, "--verbose", *more]
    return ["stream", work / "p.yaml", "--source", work / "logs", "-w", warehouse, *options]


def moments() -> Iterator[tuple[str, float]]:
    """When to kill: so long after a line on stderr, and in the end once nothing is left to do."""
    chance = random.Random(KILLS)
    for boundary in BOUNDARIES:
        yield f"^commit {boundary}", 0.0
    for _ in range(KILLS - len(BOUNDARIES)):
        yield rf"^commit {chance.randint(1, 6)}: (writing|snapshot)", chance.random() * 0.3
    yield NEVER, 0.0


def test_kills_at_boundaries_and_at_random(work: Path, tmp_path: Path) -> None:
    warehouse = tmp_path / "w"
    everything = messages_at(work / "batch")
    for number, (line, pause) in enumerate(moments()):
        # Two builders where the second may be at work when the first is committed. None ends by
        # itself: in the end it would drop the journal.
        workers = 1 if number < len(BOUNDARIES) else 2
        with running(*arguments(work, warehouse, workers=workers)) as stream:
            wait_for(line, stream, warehouse, everything)
            time.sleep(pause)
            stream.kill()
        assert_hangs_together(warehouse)
    answered = answers(warehouse)
    assert max(answered.values()) == 1, "a text was embedded twice"

    with running(*arguments(work, warehouse, "--until-idle", 1)) as stream:
        done = stream.finish()

    assert done.code == 0, done.stderr
    assert digest_at(warehouse) == digest_at(work / "batch")
    assert last_answered(warehouse) == 0
    all_texts = {text for (text,) in rows_at(warehouse, "embeddings", "text_hash")}
    assert all_texts <= set(answered)


def messages_at(warehouse: Path) -> Messages:
    return rows_at(warehouse, "messages", "conversation_id", "message_id")


def wait_for(line: str, stream: Running, warehouse: Path, everything: Messages) -> None:
    """Until it says so, or has nothing left to do: earlier ones may have been killed late."""
    stream.wait_for_line("engine ready")
    wait_until(
        lambda: stream.has_said(line) or is_done(warehouse, everything) or stream.ended,
        RUN_SECONDS,
        f"'{line}', nor end of the log",
    )
    assert not stream.ended, "".join(stream.lines)


def is_done(warehouse: Path, everything: Messages) -> bool:
    """As it says itself, which costs little to ask, and as the warehouse shows."""
    said = orjson.loads((warehouse / PULSE_FILE).read_bytes())
    if said["in_flight_messages"] or sum(said["backlog"].values()):
        return False
    return messages_at(warehouse) == everything


def assert_hangs_together(warehouse: Path) -> None:
    """What is committed is consistent: no fact without its message."""
    if not (warehouse / "memoryflow.json").exists():
        return
    messages = set(messages_at(warehouse))
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
    with running(*arguments(work, warehouse, workers=2)) as stream:
        stream.wait_for_line("^commit 2: snapshot")
        stream.process.terminate()
        done = stream.finish()

        assert done.code == 0, done.stderr
        assert re.search(r"ended: \d+", done.stderr)
    read = int(re.search(r"ended: ([\d,]+) messages", done.stderr)[1].replace(",", ""))
    assert 0 < len(messages_at(warehouse)) <= read

    using = plan(pipeline_copy(tmp_path / "p.yaml", LATENESS))
    again = stream_here(warehouse, [str(work / "logs")], using, until_idle=1)
    assert digest_at(warehouse) == digest_at(work / "batch")
    lines = sum(1 for path in (work / "logs").iterdir() for _ in path.open())
    assert read + again.messages == lines, "a drained stream reads nothing twice"
