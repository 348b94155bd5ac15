"""Ends an engine's child processes when the process that started them is gone, however it went.

vLLM's engine core does not notice that its parent was killed, and its workers then spin on
their queues for ever. A small process of its own holds handles of them and waits for the end
of a pipe: when the parent closes it, or dies, it kills what is left.
"""

import multiprocessing
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager

import psutil

_LOOK_EVERY = 0.3  # seconds, while the engine starts

# A handle (pidfd), unlike a number, never means a later process with the same number.
_PROGRAM = """
import os, signal, sys
handles = []
for line in sys.stdin:
    try:
        handles.append(os.pidfd_open(int(line)))
    except OSError:
        pass
for handle in handles:
    try:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    except OSError:
        pass
"""


class Reaper:
    """Kills the processes it was told of when it is closed, or when this process dies."""

    def __init__(self) -> None:
        self._told: set[int] = set()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,  # an interrupt from the keyboard must not end it first
        )

    @contextmanager
    def watching(self) -> Generator[None]:
        """Take charge of all that `multiprocessing` starts in this block, and its children."""
        others = {child.pid for child in multiprocessing.active_children()}
        stop = threading.Event()

        def look_again() -> None:
            while not stop.wait(_LOOK_EVERY):
                self._take(others)

        looking = threading.Thread(target=look_again, daemon=True)
        looking.start()
        try:
            yield
        finally:
            stop.set()
            looking.join()
            self._take(others)

    def close(self) -> None:
        """Kill what is left; may be called twice."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()

    def _take(self, others: set[int | None]) -> None:
        for child in multiprocessing.active_children():
            if child.pid is not None and child.pid not in others:
                for pid in (child.pid, *_descendants(child.pid)):
                    self._tell(pid)

    def _tell(self, pid: int) -> None:
        if pid not in self._told and self._process.stdin is not None:
            self._process.stdin.write(f"{pid}\n")
            self._process.stdin.flush()
            self._told.add(pid)


def _descendants(pid: int) -> list[int]:
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
