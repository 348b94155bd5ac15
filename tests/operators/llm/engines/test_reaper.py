"""No child of an engine outlives the process that started it."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

_ENGINE = """
import multiprocessing, subprocess, sys, time

def core(pids):
    worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    pids.put(worker.pid)
    time.sleep(600)

if __name__ == "__main__":
    from operators.llm.engines.reaper import Reaper
    reaper = Reaper()
    with reaper.watching():
        context = multiprocessing.get_context("spawn")
        pids = context.SimpleQueue()
        process = context.Process(target=core, args=(pids,))
        process.start()
        print(process.pid, pids.get(), flush=True)
        if sys.argv[2] == "starting":
            # It looks again every now and then; nobody can say when, on a busy machine.
            while len(reaper._told) < 2:
                time.sleep(0.01)
            print("watched", flush=True)
            time.sleep(600)
    print("started", flush=True)
    if sys.argv[1] == "close":
        reaper.close()
        reaper.close()
        process.join()
        print("closed", flush=True)
    time.sleep(600)
"""


def _host(tmp_path: Path, what: str, until: str) -> tuple[subprocess.Popen[str], list[int]]:
    """A process with an engine of a core and a worker; their numbers."""
    script = tmp_path / "engine.py"
    script.write_text(_ENGINE)
    host = subprocess.Popen(
        [sys.executable, str(script), what, until],
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(Path.cwd())},
    )
    assert host.stdout is not None
    return host, [int(pid) for pid in host.stdout.readline().split()]


def _gone(pids: list[int], within: float = 60) -> bool:
    end = time.monotonic() + within
    while time.monotonic() < end:
        if not any(_runs(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.slow
@pytest.mark.parametrize(("until", "said"), [("started", "started"), ("starting", "watched")])
def test_children_end_with_a_killed_host(tmp_path: Path, until: str, said: str) -> None:
    """Also when it is killed while the engine is still starting."""
    host, pids = _host(tmp_path, "stay", until)
    try:
        assert host.stdout is not None
        assert host.stdout.readline() == f"{said}\n"
        assert len(pids) == 2
        assert all(_runs(pid) for pid in pids)
    finally:
        host.kill()
        host.wait()
    assert _gone(pids)


@pytest.mark.slow
def test_closing_ends_what_is_left(tmp_path: Path) -> None:
    host, pids = _host(tmp_path, "close", "started")
    try:
        assert host.stdout is not None
        assert [host.stdout.readline() for _ in range(2)] == ["started\n", "closed\n"]
        assert _gone(pids)
    finally:
        host.kill()
        host.wait()
