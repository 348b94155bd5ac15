"""No child of an engine outlives the process that started it."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

_ENGINE = """
import multiprocessing, subprocess, sys, time

def core():
    worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    print(worker.pid, flush=True)
    time.sleep(600)

if __name__ == "__main__":
    from operators.llm.engines.reaper import Reaper
    reaper = Reaper()
    with reaper.watching():
        process = multiprocessing.get_context("spawn").Process(target=core)
        process.start()
        print(process.pid, flush=True)
        time.sleep(float(sys.argv[2]))
    print("started", flush=True)
    if sys.argv[1] == "close":
        reaper.close()
        reaper.close()
        process.join()
        print("closed", flush=True)
    time.sleep(600)
"""


def _host(tmp_path: Path, what: str, start_takes: float) -> tuple[subprocess.Popen[str], list[int]]:
    """A process with an engine of a core and a worker; their numbers."""
    script = tmp_path / "engine.py"
    script.write_text(_ENGINE)
    host = subprocess.Popen(
        [sys.executable, str(script), what, str(start_takes)],
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(Path.cwd())},
    )
    assert host.stdout is not None
    return host, sorted(int(host.stdout.readline()) for _ in range(2))


def _gone(pids: list[int], within: float = 10) -> bool:
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
@pytest.mark.parametrize("start_takes", [0.5, 600])
def test_children_end_with_a_killed_host(tmp_path: Path, start_takes: float) -> None:
    """Also when it is killed while the engine is still starting."""
    host, pids = _host(tmp_path, "stay", start_takes)
    try:
        if start_takes < 1:
            assert host.stdout is not None
            assert host.stdout.readline() == "started\n"
        else:
            time.sleep(1)
        assert all(_runs(pid) for pid in pids)
    finally:
        host.kill()
        host.wait()
    assert _gone(pids)


@pytest.mark.slow
def test_closing_ends_what_is_left(tmp_path: Path) -> None:
    host, pids = _host(tmp_path, "close", 0.5)
    try:
        assert host.stdout is not None
        assert [host.stdout.readline() for _ in range(2)] == ["started\n", "closed\n"]
        assert _gone(pids)
    finally:
        host.kill()
        host.wait()
