"""Builds the token table of the static model once a machine and keeps it in a cache folder.

`python -m operators.embedding.build_static` builds it in advance and prints path and hash;
otherwise the first embedder that starts builds it (half a minute of one core).
"""

import io
from pathlib import Path

import numpy as np

from operators.embedding.model_id import GRAPH_HASH, STATIC_MODEL_ID
from operators.model_cache import built_file
from schemas.ids import content_hash

_FILE = f"{STATIC_MODEL_ID}-{GRAPH_HASH[:8]}.npy"


def table_path() -> Path:
    """Path of the built table; builds it where it is missing."""
    return built_file(_FILE, _build)


def table_hash() -> str:
    """Hash of the built table: equal hashes, equal vectors."""
    table = np.load(table_path(), mmap_mode="r")
    return content_hash("static", str(table.dtype), str(table.shape), table.tobytes())


def _build() -> bytes:
    # Imported here: the many processes that find the table built do without the model.
    from operators.embedding.static_table import distil  # noqa: PLC0415

    out = io.BytesIO()
    np.save(out, distil(), allow_pickle=False)
    return out.getvalue()


if __name__ == "__main__":
    print(table_path(), table_hash())
