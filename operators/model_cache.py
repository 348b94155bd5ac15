"""Where models that are built on this machine are kept, and how only one process builds each."""

import fcntl
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


def cache_folder(wanted: str) -> Path:
    """$MEMORYFLOW_CACHE, else share/memoryflow of the environment, else ~/.cache/memoryflow.

    The environment's own folder comes before HOME so that a deleted environment takes its
    models with it, and so that containers find what their image was built with. Where it
    cannot be written to, it is taken only if `wanted` (a name in it) is there.
    """
    given = os.environ.get("MEMORYFLOW_CACHE")
    if given:
        return Path(given)
    shared = Path(sys.prefix) / "share" / "memoryflow"
    try:
        shared.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path.home() / ".cache" / "memoryflow"
    usable = os.access(shared, os.W_OK) or (shared / wanted).exists()
    return shared if usable else Path.home() / ".cache" / "memoryflow"


@contextmanager
def locked(path: Path) -> Generator[None]:
    """Hold the lock file `path`; other processes and threads wait."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # released when closed, or when the process dies
        yield
