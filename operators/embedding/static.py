"""The fast embedder: a mean of token vectors that MiniLM gave once."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from operators.base import Vectors
from operators.embedding.build_static import table_path
from operators.embedding.model_id import DIMENSION, STATIC_MODEL_ID
from operators.embedding.static_table import FALLBACK
from operators.embedding.tokens import WordPieces

_GATHERED = 4096
"""Tokens whose rows are copied at once: 3 MB."""

_EXACT = 2**26
"""A sum of 384 squares of integers below it fits 63 bits."""


class StaticMiniLm:
    """Sentence vectors as weighted means of token vectors distilled from all-MiniLM-L6-v2.

    Method: Model2Vec (https://github.com/MinishLab/model2vec): each token of the vocabulary
    through the model once, offline; a text is then the mean of its tokens' vectors, with the
    weights of SIF (Arora, Liang, Ma, ICLR 2017). Order and context of words are lost; on a CPU
    it takes about a fortieth of the time. See `static_table` for how the table is made.

    A vector is a function of text and table alone, to the bit, on any machine and in any batch:
    the table holds integers, whose sums are exact in every order, and what follows are single
    IEEE operations on each component. Texts are read to their end. A text without a known token
    (empty, or in an unknown script) gets a fixed vector.
    """

    model_id = STATIC_MODEL_ID
    dimension = DIMENSION

    def __init__(self) -> None:
        # Mapped: the processes of a machine share its pages.
        self._table: npt.NDArray[np.int16] = np.load(table_path(), mmap_mode="r")
        self._tokens = WordPieces()

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors, shape (len(texts), 384), float32."""
        sums = np.empty((len(texts), DIMENSION), np.int64)
        for row, ids in enumerate(self._tokens.ids(texts)):
            sums[row] = self._sum(ids)
        sums[~sums.any(axis=1)] = self._table[FALLBACK]
        return _unit(sums)

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text."""
        return self._tokens.counts(texts)

    def _sum(self, ids: Sequence[int]) -> npt.NDArray[np.int64]:
        total = np.zeros(DIMENSION, np.int64)
        for start in range(0, len(ids), _GATHERED):
            rows = self._table.take(ids[start : start + _GATHERED], axis=0)
            total += np.add.reduce(rows, axis=0, dtype=np.int64)
        return total


def _unit(sums: npt.NDArray[np.int64]) -> Vectors:
    """Integer vectors, none of them zero, as unit vectors."""
    largest = np.abs(sums).max(axis=1, keepdims=True, initial=0)
    reduced = sums // (largest // _EXACT + 1)
    squares = np.add.reduce(reduced * reduced, axis=1, keepdims=True)
    return (reduced / np.sqrt(squares.astype(np.float64))).astype(np.float32)
