"""Feedback channel: what is said like the best memories so far."""

import numpy as np

from operators.base import Vectors
from operators.recall.apart import Apart
from operators.recall.bm25 import Bm25, Floats, Ints, TermCounts, scaled

_BEST = 3
_BEST_WORDS = 5
_TERMS = 20


class Feedback:
    """Pseudo-relevance feedback: the question moved towards its best messages.

    Methods: Rocchio (1971) on the vectors, one fact of each of the best messages; RM3
    (Lavrenko and Croft 2001, https://doi.org/10.1145/383952.383972) on the words.

    Args:
        apart: vectors of the facts, rows sorted by message.
        vectors: the same vectors.
        message: number of the message of each.
        counts: terms of the messages.
        bm25: weights of the same terms.
    """

    def __init__(
        self, apart: Apart, vectors: Vectors, message: Ints, counts: TermCounts, bm25: Bm25
    ):
        self._apart, self._vectors, self._message = apart, vectors, message
        self._bm25 = bm25
        order = np.lexsort((counts.term, counts.document))
        self._document, self._term = counts.document[order], counts.term[order]
        length = np.bincount(counts.document, counts.count, minlength=counts.documents)
        held = np.bincount(counts.term, minlength=len(counts.vocabulary))
        rarity = np.log(1 + (counts.documents - held + 0.5) / (held + 0.5))
        share = counts.count[order] / np.maximum(length[self._document], 1)
        self._weight = share * rarity[self._term]
        self._vocabulary = counts.vocabulary

    def cosines(self, vector: Vectors, nearness: Floats, scores: Floats) -> Floats:
        """Cosine of each fact with the question moved halfway to the best messages' facts.

        `nearness`: cosine of each fact with the question.
        """
        rest = self._apart.rest(vector)
        best = np.argsort(-scores, kind="stable")[: _BEST + 1]
        if best.size <= _BEST or not self._message.size:
            return nearness
        lead = np.maximum(scores[best[:_BEST]] - scores[best[_BEST]], 1e-3)
        moved = np.zeros_like(rest)
        for number, weight in zip(best[:_BEST].tolist(), lead / lead.sum(), strict=True):
            first, last = np.searchsorted(self._message, [number, number + 1])
            if first < last:
                row = first + int(np.argmax(nearness[first:last]))
                moved += np.float32(weight) * self._apart.rest(self._vectors[row])
        length = max(float(np.linalg.norm(moved)), 1e-6)
        both = moved / length + rest
        return self._apart.cosines(both / max(float(np.linalg.norm(both)), 1e-6))

    def words(self, asked: list[str], scores: Floats) -> Floats:
        """BM25 over the terms that the best messages share and the question lacks."""
        weights = np.zeros(len(self._vocabulary))
        best = np.argsort(-scores, kind="stable")[:_BEST_WORDS]
        if not best.size or not weights.size:
            return np.zeros(scores.size)
        trust = np.exp((scores[best] - scores[best[0]]) / 2)
        for number, much in zip(best.tolist(), trust / trust.sum(), strict=True):
            first, last = np.searchsorted(self._document, [number, number + 1])
            weights[self._term[first:last]] += much * self._weight[first:last]
        for name in asked:
            if name in self._vocabulary:
                weights[self._vocabulary[name]] = 0.0
        weights = np.round(weights, 6)
        chosen = np.argsort(-weights, kind="stable")[:_TERMS]
        return scaled(self._bm25.weighted(chosen[weights[chosen] > 0], weights))
