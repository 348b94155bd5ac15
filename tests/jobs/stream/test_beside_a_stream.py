"""`run` and `forget` get in beside a stream, and what came too late is taken in afterwards."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

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
from tests.jobs.processes import (
    REPO,
    RUN_SECONDS,
    Running,
    cli,
    environment,
    running,
    wait_until,
)
from tests.jobs.stream.here import append, batch_here, stream_here
from tests.jobs.test_run_forget import leaks

pytestmark = pytest.mark.slow

LINES = sample_lines(per_log=24)
# Words that no sample has; each is in texts, and so in facts, entities and summaries.
TOPIC, PERSON = "Velostrumpf", "Zdislava"
BACKFILL = "To take it in (this removes the dead letter): "


def spoken(conversation: str, message: str, speaker: str, minute: int, text: str) -> dict[str, Any]:
    return {
        "conversation_id": conversation,
        "message_id": message,
        "speaker": speaker,
        "timestamp": f"2025-03-01T10:{minute:02}:00Z",
        "text": text,
    }


ERASED: Lines = [
    spoken(f"talk-{TOPIC}", "talk-1", "Marek", 1, f"We call the new project {TOPIC} from today."),
    spoken(f"talk-{TOPIC}", "talk-2", "Joon", 2, f"{TOPIC} needs two designers in Ghent."),
    spoken("team-0", "person-1", PERSON, 3, "I moved to Leuven last month and love the canals."),
    spoken("team-0", "person-2", "Marek", 4, f"Lunch with {PERSON} was great, she paints owls."),
]


def encoded(lines: Iterable[dict[str, Any]]) -> list[bytes]:
    return [orjson.dumps(line) for line in lines]


def ids(lines: Iterable[dict[str, Any]]) -> set[str]:
    return {line["message_id"] for line in lines}


def recorded(warehouse: Path) -> set[str]:
    return {message for (message,) in rows_at(warehouse, "messages", "message_id")}


def wait_for_messages(warehouse: Path, lines: Lines) -> None:
    wait_until(lambda: recorded(warehouse) >= ids(lines), RUN_SECONDS, "messages", pause=0.3)


def end(stream: Running) -> None:
    stream.process.terminate()
    done = stream.finish()
    assert done.code == 0, done.stderr


def test_run_and_forget_beside_a_stream(tmp_path: Path) -> None:
    """What is forgotten and appended once more leaves what never having had it leaves."""
    warehouse, log = tmp_path / "w", tmp_path / "log.jsonl"
    pipeline = pipeline_copy(
        tmp_path / "p.yaml", (r"allowed_lateness: \S+", "allowed_lateness: 3650d")
    )
    lines = shuffled(LINES)
    third = len(lines) // 3
    append(log, encoded([*lines[:third], *ERASED]))
    other = write_log(tmp_path / "other.jsonl", lines[third : 2 * third])
    batch_here(tmp_path / "batch", encoded(LINES), plan(pipeline))

    with running(*("stream", pipeline, "--source", log, "-w", warehouse, "--workers", 1)) as stream:
        stream.wait_for_line("engine ready")
        wait_for_messages(warehouse, [*lines[:third], *ERASED])

        done = cli("run", pipeline, "--input", other, "-w", warehouse, "--workers", 1)
        assert done.code == 0, done.stderr
        assert recorded(warehouse) >= ids(lines[: 2 * third])

        for option, value in (("--conversation", f"talk-{TOPIC}"), ("--person", PERSON)):
            assert leaks(warehouse, value.removeprefix("talk-"))  # So that it could be found.
            done = cli("forget", "-w", warehouse, option, value)
            assert done.code == 0, done.stderr
            assert "erased 2 messages" in done.stdout
        assert not recorded(warehouse) & ids(ERASED)

        append(log, encoded([*ERASED, *lines[2 * third :]]))
        wait_for_messages(warehouse, lines)
        end(stream)

    assert digest_at(warehouse) == digest_at(tmp_path / "batch")
    assert [leaks(warehouse, word) for word in (TOPIC, PERSON)] == [[], []]


def test_backfill_beside_a_stream(tmp_path: Path) -> None:
    late = LateLog(tmp_path)
    with running(
        *("stream", late.pipeline, "--source", late.log, "-w", late.warehouse, "--workers", 1)
    ) as stream:
        stream.wait_for_line("engine ready")
        wait_until(
            lambda: late.letters_at() == late.too_late, RUN_SECONDS, "dead letters", pause=0.3
        )
        late.check_kept_out()
        late.take_in()
        assert late.letters_at() == 0
        # The stream goes on, and knows what has been taken in: once more is no news.
        append(late.log, encoded([*late.lines[:2], late.last]))
        wait_for_messages(late.warehouse, [late.last])
        end(stream)
    late.check_like_batch()


def test_backfill_after_a_stream(tmp_path: Path) -> None:
    late = LateLog(tmp_path)
    append(late.log, encoded([late.last]))
    stream_here(late.warehouse, [str(late.log)], plan(late.pipeline), until_idle=1)
    late.check_kept_out()
    late.take_in()
    late.check_like_batch()


class LateLog:
    """A log in which the first messages of a conversation come after its last ones."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.warehouse, self.log = folder / "w", folder / "log.jsonl"
        self.pipeline = pipeline_copy(
            folder / "p.yaml", (r"allowed_lateness: \S+", "allowed_lateness: 1h")
        )
        talk = [line for line in LINES if line["conversation_id"].startswith("friends")]
        # Two days before all others, so that they are too late whatever the session gap.
        early = [
            spoken("friends-0", f"early-{n}", "Nora", n, f"Box {n} holds {w}.")
            for n, w in enumerate(("skates", "the red lamp", "“old” maps, naïve ones", "two kites"))
        ]
        for line in early:
            line["timestamp"] = "2025-01-10" + line["timestamp"][10:]
        self.last = spoken("friends-0", "last", "Tomas", 59, "The lamp is in the cellar now.")
        self.lines = [*early, *talk]
        self.too_late = len(early)
        append(self.log, encoded([*talk, *early]))

    def letters_at(self) -> int:
        if not (self.warehouse / "memoryflow.json").exists():
            return 0
        return len(rows_at(self.warehouse, "dead_letters", "dead_letter_id"))

    def check_kept_out(self) -> None:
        letters = rows_at(self.warehouse, "dead_letters", "step", "reason")
        assert letters == [("event_time", "too_late")] * self.too_late
        assert not recorded(self.warehouse) & {f"early-{n}" for n in range(self.too_late)}

    def take_in(self) -> None:
        """Do literally what a dead letter says."""
        detail = rows_at(self.warehouse, "dead_letters", "detail")[0][0]
        commands = detail.partition(BACKFILL)[2]
        assert commands
        told = commands.replace("DIR", str(self.warehouse)).replace("PIPELINE", str(self.pipeline))
        memoryflow = f'memoryflow() {{ (cd {REPO} && "{sys.executable}" -m jobs.cli "$@"); }}\n'
        told = told.replace("late.jsonl", str(self.folder / "late.jsonl"))
        done = subprocess.run(
            ["bash", "-euc", "set -o pipefail\n" + memoryflow + told],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=2 * RUN_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert f"{self.too_late} new messages" in done.stdout

    def check_like_batch(self) -> None:
        every = encoded([*self.lines, self.last])
        batch_here(self.folder / "batch", every, plan("conversation_memory"))
        assert digest_at(self.warehouse) == digest_at(self.folder / "batch")
