"""Where models that are built on this machine are kept, and how only one process builds each."""

import fcntl
import os
import sys
import tempfile
from collections.abc import Callable, Generator
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


def built_file(name: str, build: Callable[[], bytes]) -> Path:
    """Path of a file of the cache; where it is missing, `build` gives its bytes.

    Any number of processes may call this at once: one builds, the others wait for it. A build
    that fails or is killed leaves no file.
    """
    path = cache_folder(name) / name
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_suffix(".lock")):
        if not path.is_file():
            _write_atomically(path, build())
    return path


def _write_atomically(path: Path, data: bytes) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
