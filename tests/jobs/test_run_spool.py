"""Standard input that a killed run has kept in a file goes with the next run."""

import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.jobs.processes import REPO, RUN_SECONDS, command, environment, wait_until

pytestmark = pytest.mark.slow

SAID = b'{"text": "AzzqCanaryZ"}\n' * 20_000


@contextmanager
def reading_run(folder: Path) -> Generator[subprocess.Popen[bytes]]:
    """A run whose input has begun and does not end."""
    before = spools(folder)
    started = subprocess.Popen(
        command("run", "conversation_memory_static", "--input", "-", "-w", folder / "w"),
        cwd=REPO,
        env=environment() | {"TMPDIR": str(folder)},
        stdin=subprocess.PIPE,
    )
    try:
        assert started.stdin is not None
        started.stdin.write(SAID)
        started.stdin.flush()
        wait_until(lambda: any(map(_size, spools(folder) - before)), RUN_SECONDS, "the spool")
        yield started
    finally:
        started.kill()
        started.wait()


def _size(spool: Path) -> int:
    return spool.stat().st_size


def spools(folder: Path) -> set[Path]:
    return set(folder.glob("memoryflow-stdin-*/*"))


def test_what_a_killed_run_has_left_is_removed(tmp_path: Path) -> None:
    with reading_run(tmp_path):
        (left,) = spools(tmp_path)
    assert _size(left)
    (tmp_path / "memoryflow-stdin-new").mkdir()
    just_made = tmp_path / "memoryflow-stdin-new" / "stdin.jsonl"
    just_made.touch()
    with reading_run(tmp_path):
        assert not left.parent.exists()
        (used,) = spools(tmp_path) - {just_made}

        done = subprocess.run(
            command("run", "conversation_memory_static", "--input", tmp_path / "nothing"),
            cwd=REPO,
            env=environment() | {"TMPDIR": str(tmp_path)},
            capture_output=True,
            check=False,
        )

        assert b"input does not exist" in done.stderr
        assert spools(tmp_path) == {used, just_made}
