"""Dense channel: cosine of the question and the facts of each message."""

import numpy as np

from operators.base import Vectors
from operators.recall.bm25 import Floats, Ints

WITHOUT_FACTS = -1.0 / 3.0
"""Score of a message with no fact (a greeting, say): a deviation below the mean."""


class DenseIndex:
    """Vectors of the facts, grouped by message.

    A message's best fact says whether it answers; its mean fact says whether it is about
    the question at all. A long answer has many facts, so by its best alone it would win too
    often, by its mean too seldom: both are given, and the fusion weighs them.

    Args:
        vectors: unit vectors of the facts, rows sorted by message.
        message: number of the message of each fact, ascending.
        messages: number of messages.
    """

    def __init__(self, vectors: Vectors, message: Ints, messages: int):
        self._vectors = vectors
        self._present, self._first, self._size = np.unique(
            message, return_index=True, return_counts=True
        )
        self._messages = messages

    def cosines(self, query: Vectors) -> Floats:
        """Cosine of the query vector and every fact, rounded to four digits."""
        return np.round(self._vectors @ query, 4).astype(np.float64)

    def best_and_mean(self, cosines: Floats) -> tuple[Floats, Floats]:
        """Per message, the best and the mean cosine of its facts, standardised."""
        if not self._present.size:
            return np.zeros(self._messages), np.zeros(self._messages)
        best = np.maximum.reduceat(cosines, self._first)
        mean = np.add.reduceat(cosines, self._first) / self._size
        return self._standardised(best), self._standardised(mean)

    def _standardised(self, values: Floats) -> Floats:
        """Deviations from the mean in units of three standard deviations."""
        out = np.full(self._messages, WITHOUT_FACTS)
        spread = float(values.std())
        out[self._present] = (values - values.mean()) / (3 * spread) if spread > 1e-9 else 0.0
        return out
