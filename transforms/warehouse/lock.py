"""One writer at a time: a lock and a queue; here as advisory locks on two files of the folder.

A run reads rows, computes changes and commits them. Two such runs at once would each
commit changes against what the other has not seen, so a writer holds DIR/write.lock for as
long as it has the warehouse open. Who waits for it holds DIR/write.queue meanwhile, which
tells the holder that it is wanted (a stream then hands the warehouse over). The kernel drops
both locks when the process dies, kill -9 included. Where the catalog is in PostgreSQL, its
server keeps lock and queue: see `lock_postgres`.
"""

import fcntl
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

from transforms.warehouse.errors import WarehouseError

LOCK_FILE = "write.lock"
QUEUE_FILE = "write.queue"
POLL_SECONDS = 0.05
# Who has just handed over lets those that wait already go first: several of their polls.
_YIELD_SECONDS = 5 * POLL_SECONDS


class WriteLock(ABC):
    """Held by the one process that has a warehouse open for writing."""

    @abstractmethod
    def acquire(self, timeout: float, waiting: Callable[[], None] | None = None) -> None:
        """Queue up for at most `timeout` seconds; WarehouseError names the process that holds it.

        `waiting` is called at every look while someone else has it; it may raise to give up.
        """

    @abstractmethod
    def release(self) -> None:
        """Let the next writer in; harmless when not held."""

    @abstractmethod
    def wanted(self) -> bool:
        """Whether another writer waits; cheap enough for every turn of a loop."""

    @abstractmethod
    def require_held(self) -> None:
        """WarehouseError if it was lost; asked before anything is written."""

    def hand_over(
        self, max_wait: float, timeout: float, waiting: Callable[[], None] | None = None
    ) -> None:
        """Release, let the waiter take it (or go away) for `max_wait` seconds, acquire again.

        Those that waited already come first, so that several writers take turns.
        """
        self.release()
        deadline = time.monotonic() + max_wait
        try:
            while self.wanted() and time.monotonic() < deadline:
                if waiting is not None:
                    waiting()
                time.sleep(POLL_SECONDS)
            time.sleep(_YIELD_SECONDS)
            self.acquire(timeout, waiting)
        except BaseException:
            self.release()
            raise


class FileLock(WriteLock):
    """An exclusive `flock` on DIR/write.lock, which names the holder's process id."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK_FILE
        self._queue = folder / QUEUE_FILE
        self._fd: int | None = None

    def acquire(self, timeout: float, waiting: Callable[[], None] | None = None) -> None:
        """See `WriteLock`."""
        deadline = time.monotonic() + timeout
        queue = self._locked(self._queue, deadline, waiting)
        try:
            self._fd = self._locked(self._path, deadline, waiting)
            # Who is next in the queue must not read the name of an earlier holder.
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode("ascii"), 0)
        except BaseException:
            self.release()
            raise
        finally:
            os.close(queue)

    def release(self) -> None:
        """See `WriteLock`."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def wanted(self) -> bool:
        """See `WriteLock`; some microseconds."""
        fd = _open(self._queue)
        try:
            return not _try(fd, fcntl.LOCK_SH)
        finally:
            os.close(fd)

    def require_held(self) -> None:
        """Nothing takes a `flock` away from a living process."""

    def _locked(self, path: Path, deadline: float, waiting: Callable[[], None] | None) -> int:
        """A descriptor that has `path` locked: the file that is there now, if it was replaced."""
        fd = _open(path)
        try:
            while True:
                if _try(fd, fcntl.LOCK_EX):
                    if _same_file(fd, path):
                        return fd
                    os.close(fd)
                    fd = _open(path)
                    continue
                if time.monotonic() >= deadline:
                    raise self._busy()
                if waiting is not None:
                    waiting()
                time.sleep(POLL_SECONDS)
        except BaseException:
            os.close(fd)
            raise

    def _busy(self) -> WarehouseError:
        try:
            holder = self._path.read_text("ascii", "replace").strip()
        except OSError:
            holder = ""
        return WarehouseError(
            f"another process (id {holder or 'unknown'}) is writing to this warehouse",
            self._path.parent,
            "Wait until it has finished, or open the warehouse read-only.",
        )


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)


def _try(fd: int, mode: int) -> bool:
    try:
        fcntl.flock(fd, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _same_file(fd: int, path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    here = os.fstat(fd)
    return (here.st_ino, here.st_dev) == (there.st_ino, there.st_dev)
