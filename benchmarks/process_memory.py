"""Peak memory of a process with all its children."""

import threading
from types import TracebackType

import psutil

MEBIBYTE = 1024 * 1024


class PeakMemory:
    """Samples the summed PSS (shared pages counted once) of a process tree while open."""

    def __init__(self, pid: int, every_seconds: float = 0.5) -> None:
        self.peak_mib = 0.0
        self._pid = pid
        self._every = every_seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "PeakMemory":
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(self._every):
            self.peak_mib = max(self.peak_mib, tree_pss(self._pid) / MEBIBYTE)


def tree_pss(pid: int) -> int:
    """Summed PSS in bytes of a process and its descendants; 0 once it has gone."""
    try:
        root = psutil.Process(pid)
        processes = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    return sum(map(_pss, processes))


def _pss(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0
