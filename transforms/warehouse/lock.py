"""One writer at a time: an advisory lock on a file of the warehouse folder.

A run reads rows, computes changes and commits them. Two such runs at once would each
commit changes against what the other has not seen, so a writer holds the lock for as long
as it has the warehouse open. The kernel drops it when the process dies, kill -9 included.
"""

import fcntl
import os
import time
from pathlib import Path

from transforms.warehouse.errors import WarehouseError

LOCK_FILE = "write.lock"
_POLL_SECONDS = 0.05


class WriteLock:
    """An exclusive `flock` on DIR/write.lock, which names the holder's process id."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK_FILE
        self._fd: int | None = None

    def acquire(self, timeout: float) -> None:
        """Wait up to `timeout` seconds; WarehouseError names the process that holds it."""
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        deadline = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() < deadline:
                    time.sleep(_POLL_SECONDS)
                    continue
                holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
                os.close(fd)
                raise WarehouseError(
                    f"another process (id {holder}) is writing to this warehouse",
                    self._path.parent,
                    "Wait until it has finished, or open the warehouse read-only.",
                ) from None
            break
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode("ascii"), 0)
        self._fd = fd

    def release(self) -> None:
        """Let the next writer in; harmless when not held."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
