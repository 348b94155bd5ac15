"""Cosines of facts once what they all share is taken out."""

import numpy as np

from operators.base import Vectors
from operators.recall.bm25 import Floats, Ints

_DIRECTIONS = 3
_FACTS_PER_DIRECTION = 20  # of fewer facts the leading directions are what they say
_ITERATIONS = 20
_TINY = 1e-3


class Apart:
    """Cosines without the mean and the leading directions of all vectors.

    Method: all-but-the-top (Mu and Viswanath 2018, https://arxiv.org/abs/1702.01417). The
    facts of one conversation are about the same people, so their vectors share most of
    what they say, and raw cosines mostly compare that.

    The vectors are not copied: with the question's share in those directions taken out, the
    dot product needs only the facts' lengths, which are kept.

    Args:
        vectors: unit vectors, one a row.
    """

    def __init__(self, vectors: Vectors):
        self._vectors = vectors
        rows = len(vectors)
        self.mean: Vectors = (vectors.sum(axis=0) / max(rows, 1)).astype(np.float32)
        centred = vectors - self.mean
        self._top = _leading(centred)
        rest = centred - (centred @ self._top.T) @ self._top
        self._length = np.maximum(np.linalg.norm(rest, axis=1), _TINY)

    def rest(self, vectors: Vectors) -> Vectors:
        """What is left of the vectors, as unit vectors; nothing where there are no facts."""
        if not self.mean.size:
            return np.zeros((*vectors.shape[:-1], 0), np.float32)
        centred = vectors - self.mean
        left = centred - (centred @ self._top.T) @ self._top
        length = np.maximum(np.linalg.norm(left, axis=-1, keepdims=True), _TINY)
        unit: Vectors = (left / length).astype(np.float32)
        return unit

    def cosines(self, rest: Vectors) -> Floats:
        """Cosine of every vector's rest with one of `rest`, rounded to four digits."""
        dots = (self._vectors @ rest - self.mean @ rest) / self._length
        return np.round(dots, 4).astype(np.float64)


class SpeakerApart:
    """Cosines without the mean of each speaker's vectors.

    A fact names who said it, and so do most questions: that part finds the person. What is
    left, of a fact by its speaker's mean, of a question by the mean of those it names, tells
    the person's statements apart.

    Args:
        vectors: unit vectors, one a row.
        speaker: number of the speaker of each.
        speakers: number of speakers.
    """

    def __init__(self, vectors: Vectors, speaker: Ints, speakers: int):
        self._vectors = vectors
        self._speaker = speaker
        count = np.maximum(np.bincount(speaker, minlength=speakers), 1)
        sums = np.zeros((speakers, vectors.shape[1]))
        np.add.at(sums, speaker, vectors)
        self._means: Vectors = (sums / count[:, None]).astype(np.float32)
        self._all: Vectors = (vectors.sum(axis=0) / max(len(vectors), 1)).astype(np.float32)
        rest = vectors - self._means[speaker]
        self._length = np.maximum(np.linalg.norm(rest, axis=1), _TINY)

    def cosines(self, vector: Vectors, named: Ints) -> Floats:
        """Cosine of every vector's rest with the question's, rounded to four digits."""
        shared = self._means[named].mean(axis=0) if named.size else self._all
        rest = vector - shared
        rest = rest / max(float(np.linalg.norm(rest)), _TINY)
        dots = (self._vectors @ rest - (self._means @ rest)[self._speaker]) / self._length
        return np.round(dots, 4).astype(np.float64)


def _leading(centred: Vectors) -> Vectors:
    """The leading directions, one a row; fewer for few facts."""
    count = min(_DIRECTIONS, len(centred) // _FACTS_PER_DIRECTION)
    if not count:
        return np.zeros((0, centred.shape[1]), np.float32)
    # Orthogonal iteration from a fixed start: a full decomposition costs a hundred times this.
    width = centred.shape[1]
    directions = np.cos(np.outer(np.arange(width), np.arange(1, count + 1))).astype(np.float32)
    for _ in range(_ITERATIONS):
        directions = np.linalg.qr(centred.T @ (centred @ directions))[0]
    leading: Vectors = directions.T.astype(np.float32)
    return leading
