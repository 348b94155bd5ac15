"""Several sources into one warehouse: two streams that take turns, or one that reads both."""

from pathlib import Path

import orjson
import pytest

from pipelines.plan import plan
from tests.jobs.builds import (
    Lines,
    digest_at,
    pipeline_copy,
    rows_at,
    sample_lines,
    shuffled,
    write_log,
)
from tests.jobs.processes import RUN_SECONDS, Running, running, wait_until
from tests.jobs.stream.here import append, batch_here, stream_here

pytestmark = pytest.mark.slow

LINES = sample_lines(per_log=40)
# Conversations that only one source has; all others are dealt between both.
ONLY = {"friends-1": 0, "team-1": 1}


def dealt() -> tuple[Lines, Lines]:
    """Two sources; some messages are in both."""
    sources: tuple[Lines, Lines] = ([], [])
    for place, line in enumerate(shuffled(LINES)):
        only = ONLY.get(line["conversation_id"])
        sources[place % 2 if only is None else only].append(line)
        if only is None and place % 10 == 0:
            sources[1 - place % 2].append(line)
    return sources


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both logs whole, one batch run over them, and the pipeline to stream with."""
    folder = tmp_path_factory.mktemp("two-streams")
    # The samples are in no order of time once shuffled.
    pipeline_copy(folder / "p.yaml", (r"allowed_lateness: \S+", "allowed_lateness: 3650d"))
    sources = dealt()
    for name, lines in zip("ab", sources, strict=True):
        write_log(folder / "logs" / f"{name}.jsonl", lines)
    batch_here(folder / "batch", encoded([*sources[0], *sources[1]]), plan(folder / "p.yaml"))
    return folder


def encoded(lines: Lines) -> list[bytes]:
    return [orjson.dumps(line) for line in lines]


def messages_at(warehouse: Path) -> int:
    if not (warehouse / "memoryflow.json").exists():
        return 0
    return len(rows_at(warehouse, "messages", "message_id"))


def turns(stream: Running) -> int:
    """How often the stream let the other one write."""
    return sum("another process is writing" in line for line in stream.lines)


def test_two_streams_take_turns(work: Path, tmp_path: Path) -> None:
    warehouse = tmp_path / "w"
    sources = dealt()
    logs = [tmp_path / f"{name}.jsonl" for name in "ab"]
    for log, lines in zip(logs, sources, strict=True):
        append(log, encoded(lines[: len(lines) // 2]))

    def arguments(log: Path) -> list[object]:
        return ["stream", work / "p.yaml", "--source", log, "-w", warehouse, "--workers", 1]

    with running(*arguments(logs[0])) as first:
        # Until then it has the warehouse to itself, for which another waits half a minute only.
        first.wait_for_line("engine ready")
        with running(*arguments(logs[1])) as second:
            take_turns(warehouse, (first, second), logs)

    assert digest_at(warehouse) == digest_at(work / "batch")
    assert {source for (source,) in rows_at(warehouse, "offsets", "source")} == {
        f"file:{log}" for log in logs
    }


def take_turns(warehouse: Path, streams: tuple[Running, Running], logs: list[Path]) -> None:
    """Give both streams the rest of their logs, and end them once it is in."""
    streams[1].wait_for_line("engine ready")
    for log, lines in zip(logs, dealt(), strict=True):
        append(log, encoded(lines[len(lines) // 2 :]))
    wait_until(lambda: messages_at(warehouse) >= len(LINES), RUN_SECONDS, "messages", pause=0.5)
    for stream in streams:
        stream.process.terminate()
    ends = [stream.finish() for stream in streams]
    assert [end.code for end in ends] == [0, 0], [end.stderr for end in ends]
    assert min(map(turns, streams)) >= 1


def test_one_stream_reads_two_sources(work: Path, tmp_path: Path) -> None:
    warehouse = tmp_path / "w"
    sources = [str(work / "logs" / f"{name}.jsonl") for name in "ab"]
    stream_here(warehouse, sources, plan(work / "p.yaml"), until_idle=1)

    assert digest_at(warehouse) == digest_at(work / "batch")
    assert len(rows_at(warehouse, "offsets", "source", "position")) == 2
