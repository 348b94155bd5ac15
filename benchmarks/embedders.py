"""Texts a second of each embedding model on one core, on the distinct facts of a warehouse.

python -m benchmarks.embedders WAREHOUSE [TEXTS]
"""

import os
import sys
import time
from collections.abc import Sequence

import numpy as np

from operators.embedding.host import Embedder
from operators.embedding.models import MODELS
from transforms.warehouse.connection import open_warehouse

_TEXTS_PER_CALL = 64  # as slice workers send them


def main() -> None:
    """Measure and print: CPU seconds, so that a busy machine says about the same."""
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: python -m benchmarks.embedders WAREHOUSE [TEXTS]")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    with open_warehouse(sys.argv[1], read_only=True) as opened:
        rows = opened.rows("SELECT DISTINCT text FROM facts ORDER BY md5(text)")
    texts = [str(row[0]) for row in rows[: int(sys.argv[2]) if len(sys.argv) > 2 else 3_000]]
    print(
        f"{len(texts):,} texts, {np.mean([len(text) for text in texts]):.0f} characters on average"
    )
    for model in MODELS.values():
        print(f"{model.model_id}: {rate(model.open(), texts):,.0f} texts/s")


def rate(model: Embedder, texts: Sequence[str]) -> float:
    """Texts a CPU second, after a warm-up."""
    model.embed(texts[:_TEXTS_PER_CALL])
    start = time.process_time()
    for at in range(0, len(texts), _TEXTS_PER_CALL):
        model.embed(texts[at : at + _TEXTS_PER_CALL])
    return len(texts) / (time.process_time() - start)


if __name__ == "__main__":
    main()
