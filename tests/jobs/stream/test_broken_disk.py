"""Disks in trouble under a running stream: one that fills up, one that cannot be written, and a
folder of logs that goes away for a while.

Where no small file system can be mounted, RLIMIT_FSIZE of the driver stands in for the full
disk; Ray's own processes, which have started by then, are not bound by it.
"""

import contextlib
import json
import os
import resource
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipelines.plan import plan
from tests.jobs.builds import digest_at, pipeline_copy, rows_at, sample_lines, write_log
from tests.jobs.processes import RUN_SECONDS, Finished, Running, cli, running, wait_until
from tests.jobs.stream.here import append, batch_here
from transforms.warehouse.connection import JOURNAL_DIR

pytestmark = pytest.mark.slow

LINES = sample_lines(24, 1)
HALF = len(LINES) // 2
MIB = 1 << 20
LOOKED = 1.5
"""Seconds within which a stream lists its folder, once a second."""


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline, and what one batch run makes of the log."""
    folder = tmp_path_factory.mktemp("broken-disk")
    pipeline_copy(
        folder / "p.yaml",
        (r"early: \S+", "early: 0.05s"),
        (r"allowed_lateness: \S+", "allowed_lateness: 3650d"),
    )
    batch_here(folder / "batch", encoded(LINES), plan(folder / "p.yaml"))
    return folder


def encoded(lines: list[dict[str, Any]]) -> list[bytes]:
    return [json.dumps(line).encode() for line in lines]


def arguments(work: Path, logs: Path, warehouse: Path, *more: object) -> list[object]:
    options = ["--source", logs, "-w", warehouse, "--workers", 1, "--verbose"]
    return ["stream", work / "p.yaml", *options, *more]


def check_message(done: Finished, *words: str) -> None:
    """Exit code 4, and in the end one line that says what is wrong and how to mend it."""
    assert done.code == 4, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "run the same command again" in line]
    assert any(word in line for word in words), line
    assert done.stderr.splitlines()[-1] == line


@pytest.mark.parametrize("built", [HALF, 0], ids=["later", "before the first message"])
def test_the_disk_fills_up(work: Path, tmp_path: Path, built: int) -> None:
    """Without a first message, what finds no room is the journal of answered model calls."""
    logs = write_log(tmp_path / "logs" / "a.jsonl", LINES[:built])
    with small_disk(tmp_path / "small") as disk:
        warehouse = disk / "w"
        with running(*arguments(work, logs.parent, warehouse)) as stream:
            stream.wait_for_line("engine ready")
            wait_until(lambda: committed(warehouse) == built, RUN_SECONDS, "commit", pause=0.2)
            with no_room_left(disk, stream):
                append(logs, encoded(LINES[built:]))
                done = stream.finish()
        check_message(done, "disk is full", "fails to write")
        assert committed(warehouse) == built

        again = cli(*arguments(work, logs.parent, warehouse, "--until-idle", 1))

        assert again.code == 0, again.stderr
        assert digest_at(warehouse) == digest_at(work / "batch")


def test_only_the_journal_finds_no_room(work: Path, tmp_path: Path) -> None:
    """As where the disk is full for a moment only: no message is to blame, so none is refused."""
    logs = write_log(tmp_path / "logs" / "a.jsonl", [])
    warehouse = tmp_path / "w"
    command = arguments(work, logs.parent, warehouse)
    with running(*command) as stream:
        stream.wait_for_line("engine ready")
        journal = warehouse / JOURNAL_DIR
        journal.mkdir(exist_ok=True)
        if not _ran("mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(journal)):
            pytest.skip("not allowed to mount")
        try:
            append(logs, encoded(LINES))
            done = end_of(stream, warehouse)
        finally:
            assert _ran("umount", "-l", str(journal))
    assert done.code in {0, 4}, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    assert rows_at(warehouse, "dead_letters", "step", "reason") == []

    again = cli(*command, "--until-idle", 1)

    assert again.code == 0, again.stderr
    assert digest_at(warehouse) == digest_at(work / "batch")


def end_of(stream: Running, warehouse: Path) -> Finished:
    """Stop it once everything is in; one that fails ends by itself."""
    wait_until(
        lambda: stream.ended or committed(warehouse) == len(LINES),
        RUN_SECONDS,
        "last message",
        pause=0.5,
    )
    if not stream.ended:
        stream.process.terminate()
    return stream.finish()


def committed(warehouse: Path) -> int:
    return len(rows_at(warehouse, "messages", "message_id"))


@contextmanager
def small_disk(folder: Path) -> Generator[Path]:
    """A file system of its own where one may be mounted, else just a folder."""
    folder.mkdir()
    mounted = _ran("mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        if mounted:
            # A worker that outlives its driver for a moment still holds it.
            wait_until(lambda: _ran("umount", str(folder)), 60, "end of all users", pause=0.2)


@contextmanager
def no_room_left(disk: Path, stream: Running) -> Generator[None]:
    """Not one more block for the stream on `disk`."""
    if not disk.is_mount():
        hard = resource.prlimit(stream.process.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(stream.process.pid, resource.RLIMIT_FSIZE, (4096, hard))
        yield
        return
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as out, contextlib.suppress(OSError):
        for _ in range(16 * MIB // 4096):
            out.write(bytes(4096))
    try:
        yield
    finally:
        ballast.unlink()


def test_a_folder_that_cannot_be_written(work: Path, tmp_path: Path) -> None:
    """Said at once: before Ray is started."""
    logs = write_log(tmp_path / "logs" / "a.jsonl", LINES)
    warehouse = tmp_path / "w"
    warehouse.mkdir()
    with read_only(warehouse) as happened:
        if not happened:
            pytest.skip("root, and not allowed to mount")
        started = time.monotonic()
        done = cli(*arguments(work, logs.parent, warehouse, "--until-idle", 1))
        took = time.monotonic() - started

    assert done.code == 4, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    (line,) = done.stderr.splitlines()
    assert str(warehouse) in line
    assert "engine ready" not in done.stderr
    assert took < 60


def test_a_warehouse_that_has_become_read_only(work: Path, tmp_path: Path) -> None:
    """A warehouse with memory in it, of which nothing is lost."""
    logs = write_log(tmp_path / "logs" / "a.jsonl", LINES)
    warehouse = tmp_path / "w"
    batch_here(warehouse, encoded(LINES), plan(work / "p.yaml"))
    with read_only(warehouse) as happened:
        if not happened:
            pytest.skip("root, and not allowed to mount")
        done = cli(*arguments(work, logs.parent, warehouse, "--until-idle", 1))
        assert digest_at(warehouse) == digest_at(work / "batch")

    assert done.code == 4, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    assert "engine ready" not in done.stderr


@contextmanager
def read_only(folder: Path) -> Generator[bool]:
    """`folder` without write permission: by mode, or, for root, as a read-only bind mount."""
    if os.geteuid():
        folder.chmod(0o500)
        try:
            yield True
        finally:
            folder.chmod(0o700)
        return
    mounted = _ran("mount", "--bind", str(folder), str(folder)) and _ran(
        "mount", "-o", "remount,ro,bind", str(folder)
    )
    try:
        yield mounted
    finally:
        _ran("umount", str(folder))


def _ran(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == 0
    except FileNotFoundError:
        return False


def test_a_log_folder_that_goes_away(work: Path, tmp_path: Path) -> None:
    """Renamed, replaced by something that is no folder, and back with more in it."""
    logs, warehouse = tmp_path / "logs", tmp_path / "w"
    log = write_log(logs / "a.jsonl", LINES[:HALF])
    with running(*arguments(work, logs, warehouse)) as stream:
        stream.wait_for_line("^commit 1: snapshot")
        logs.rename(tmp_path / "elsewhere")
        time.sleep(LOOKED)
        logs.touch()  # Empty: lines of it would be read, as those of any log.
        time.sleep(LOOKED)
        logs.unlink()
        assert not stream.ended, "".join(stream.lines)
        append(tmp_path / "elsewhere" / log.name, encoded(LINES[HALF : HALF + 9]))
        (tmp_path / "elsewhere").rename(logs)
        write_log(logs / "b.jsonl", LINES[HALF + 9 :])
        done = end_of(stream, warehouse)

    assert done.code == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert digest_at(warehouse) == digest_at(work / "batch")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_log_that_may_not_be_read_for_a_while(work: Path, tmp_path: Path) -> None:
    logs, warehouse = tmp_path / "logs", tmp_path / "w"
    write_log(logs / "a.jsonl", LINES[:HALF])
    hidden = write_log(logs / "b.jsonl", LINES[HALF:])
    hidden.chmod(0)
    with running(*arguments(work, logs, warehouse)) as stream:
        stream.wait_for_line("^commit 1: snapshot")
        hidden.chmod(0o600)
        done = end_of(stream, warehouse)

    assert done.code == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert digest_at(warehouse) == digest_at(work / "batch")
