"""Several sources into one warehouse: two streams that take turns, or one that reads both."""

from pathlib import Path

import orjson
import pytest

from tests.jobs.builds import (
    Lines,
    build_here,
    digest_at,
    pipeline_copy,
    rows_at,
    sample_lines,
    shuffled,
    write_log,
)
from tests.jobs.processes import Running, running, wait_until
from tests.jobs.stream.here import append

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_here")]

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
def work(tmp_path_factory: pytest.TempPathFactory, ray_here: None) -> Path:
    """Both logs whole, one batch run over them, and the pipeline to stream with."""
    folder = tmp_path_factory.mktemp("two-streams")
    # The samples are in no order of time once shuffled.
    pipeline_copy(folder / "p.yaml", (r"allowed_lateness: \S+", "allowed_lateness: 3650d"))
    for name, lines in zip("ab", dealt(), strict=True):
        write_log(folder / "logs" / f"{name}.jsonl", lines)
    build_here(folder / "batch", folder / "logs")
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

    with running(*arguments(logs[0])) as first, running(*arguments(logs[1])) as second:
        first.wait_for_line("engine ready", 120)
        second.wait_for_line("engine ready", 120)
        for log, lines in zip(logs, sources, strict=True):
            append(log, encoded(lines[len(lines) // 2 :]))
        wait_until(lambda: messages_at(warehouse) >= len(LINES), 120, "all messages", pause=0.5)
        for stream in (first, second):
            stream.process.terminate()
        ends = [stream.finish(60) for stream in (first, second)]
        assert [end.code for end in ends] == [0, 0], [end.stderr for end in ends]
        assert turns(first) >= 1
        assert turns(second) >= 1

    assert digest_at(warehouse) == digest_at(work / "batch")
    assert {source for (source,) in rows_at(warehouse, "offsets", "source")} == {
        f"file:{log}" for log in logs
    }


def test_one_stream_reads_two_sources(work: Path, tmp_path: Path) -> None:
    warehouse = tmp_path / "w"
    sources = [o for name in "ab" for o in ("--source", work / "logs" / f"{name}.jsonl")]
    with running(
        *("stream", work / "p.yaml", *sources, "-w", warehouse),
        *("--workers", 2, "--until-idle", 1),
    ) as stream:
        done = stream.finish()

    assert done.code == 0, done.stderr
    assert digest_at(warehouse) == digest_at(work / "batch")
    assert len(rows_at(warehouse, "offsets", "source", "position")) == 2
