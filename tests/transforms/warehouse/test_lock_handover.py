import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.transforms.warehouse.rows import messages
from transforms.warehouse.commit import ChangeSet, commit
from transforms.warehouse.connection import SPILL_DIR, Warehouse, open_warehouse
from transforms.warehouse.errors import WarehouseError
from transforms.warehouse.lock import FileLock
from transforms.warehouse.read import read_table

_HEAD = """
import sys, time
from pathlib import Path
from tests.transforms.warehouse.rows import messages
from transforms.warehouse.commit import ChangeSet, commit
from transforms.warehouse.connection import open_warehouse
folder, name = Path(sys.argv[1]), sys.argv[2]
def add(warehouse, number):
    rows = messages(name, {f"{name}-{number}": "hello"})
    commit(warehouse, [ChangeSet("messages", inserts=rows)])
"""
# A batch run: waits for the warehouse, commits once, closes it.
_RUN = _HEAD + "with open_warehouse(folder, threads=1) as w: add(w, 0)\n"
_WAIT = _HEAD + "open_warehouse(folder, threads=1, lock_timeout=60)\n"
# A stream: commits again and again, hands over where it is wanted; until it and its peer have
# done so three times, however long one of them is kept from running.
_STREAM = (
    _HEAD
    + """
turns = {n: folder.parent / f"{n}.turns" for n in (name, sys.argv[3])}
with open_warehouse(folder, threads=1) as w:
    (folder.parent / f"{name}.ready").touch()
    number = handed_over = 0
    while not all(file.exists() for file in turns.values()):
        add(w, number)
        number += 1
        if w.wanted():
            w.hand_over(timeout=120)
            handed_over += 1
        if handed_over >= 3:
            turns[name].touch()
        time.sleep(0.02)
print(number)
"""
)


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextmanager
def running(code: str, *arguments: object) -> Generator[subprocess.Popen[str]]:
    process = start(code, *arguments)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=60)


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def finished(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 0, output
    return output


def ids(warehouse: Warehouse) -> list[str]:
    return sorted(
        str(i) for i in read_table(warehouse, "messages").column("message_id").to_pylist()
    )


def test_nobody_wants_a_warehouse_that_is_ones_own(warehouse: Warehouse) -> None:
    assert not warehouse.wanted()
    spilled = warehouse.path / SPILL_DIR / "rows.tmp"
    spilled.parent.mkdir()
    spilled.touch()
    warehouse.hand_over()
    assert not spilled.exists()
    assert not warehouse.wanted()
    commit(warehouse, [ChangeSet("messages", inserts=messages("c1", {"m1": "hello"}))])
    assert ids(warehouse) == ["m1"]
    with open_warehouse(warehouse.path, read_only=True) as reader:
        assert not reader.wanted()
        with pytest.raises(WarehouseError, match="read-only"):
            reader.hand_over()


def test_who_is_next_reads_no_earlier_holders_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue moves on only once the new holder has written down its own."""
    folder.mkdir()
    lock, next_one = FileLock(folder), FileLock(folder)
    queued: list[bool] = []
    write = os.pwrite

    def watched(fd: int, data: bytes, offset: int) -> int:
        queued.append(next_one.wanted())
        return write(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", watched)
    lock.acquire(0)
    assert queued == [True]
    assert not next_one.wanted()
    with pytest.raises(WarehouseError, match=f"id {os.getpid()}"):
        next_one.acquire(0)
    lock.release()


@pytest.mark.slow
def test_a_run_gets_in_between_two_commits(warehouse: Warehouse) -> None:
    with running(_RUN, warehouse.path, "run") as run:
        until(warehouse.wanted)
        commit(warehouse, [ChangeSet("messages", inserts=messages("c1", {"m1": "hello"}))])
        warehouse.hand_over(timeout=60)
        assert ids(warehouse) == ["m1", "run-0"]
        commit(warehouse, [ChangeSet("messages", inserts=messages("c1", {"m2": "hello"}))])
        finished(run)
    assert not warehouse.wanted()
    assert ids(warehouse) == ["m1", "m2", "run-0"]


@pytest.mark.slow
def test_a_waiter_that_dies_wants_nothing(warehouse: Warehouse) -> None:
    with running(_WAIT, warehouse.path, "wait") as waiter:
        until(warehouse.wanted)
        waiter.send_signal(signal.SIGKILL)
        waiter.wait(timeout=60)
    assert not warehouse.wanted()
    with running(_WAIT, warehouse.path, "wait") as waiter:
        until(warehouse.wanted)
        waiter.send_signal(signal.SIGSTOP)
        started = time.monotonic()
        looks: list[float] = []

        def give_up() -> None:
            looks.append(time.monotonic())
            # Past `max_wait`, and after many looks even if this process stood still meanwhile.
            if time.monotonic() - started > 3 and len(looks) > 10:
                raise InterruptedError

        with pytest.raises(InterruptedError):
            warehouse.hand_over(max_wait=1.0, waiting=give_up)
    with pytest.raises(WarehouseError, match="closed"):
        warehouse.current_snapshot()
    with open_warehouse(warehouse.path, threads=1) as again:
        assert ids(again) == []


@pytest.mark.slow
def test_waiting_to_come_back_ends_in_time(warehouse: Warehouse) -> None:
    hold = _WAIT + "print('held', flush=True)\ntime.sleep(60)\n"
    hold = hold.replace("open_warehouse(folder", "w = open_warehouse(folder")
    with running(hold, warehouse.path, "hold") as holder:
        until(warehouse.wanted)
        with pytest.raises(WarehouseError, match=f"id {holder.pid}"):
            warehouse.hand_over(timeout=3.0)


@pytest.mark.slow
def test_two_streams_and_a_run_take_turns(folder: Path) -> None:
    open_warehouse(folder, threads=1).close()
    with running(_STREAM, folder, "a", "b") as first:
        until((folder.parent / "a.ready").exists)
        with running(_STREAM, folder, "b", "a") as second:
            # Neither has to wait until the other is done: they end after turns of both.
            until((folder.parent / "b.ready").exists)
            with running(_RUN, folder, "run") as run:
                finished(run)
                commits = {"a": int(finished(first)), "b": int(finished(second))}
    with open_warehouse(folder, read_only=True) as reader:
        expected = [f"{n}-{i}" for n, count in commits.items() for i in range(count)]
        assert ids(reader) == sorted([*expected, "run-0"])
