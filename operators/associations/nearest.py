"""The nearest earlier rows of each row of a sequence."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from operators.base import Vectors
from operators.vectors import similarities

Ints = npt.NDArray[np.int64]

_BLOCK = 512
_DIGITS = 10_000
_STEPS = 4000  # as in `similarities`
_PRIOR_ROWS = 10
_RUN = 16  # rows that share a mean; divides _BLOCK
_LEAST = np.float32(1e-3)  # squared length of a vector about the mean


class Nearest(NamedTuple):
    """Of each row, its nearest earlier rows, the nearest first, of equals the earlier.

    `scores` (rows, most) has four digits, `targets` (rows, most) the numbers of the earlier
    rows; the first `counts` entries of a row are filled.
    """

    scores: npt.NDArray[np.float64]
    targets: Ints
    counts: Ints


Scores = Callable[[int, int], Vectors]
"""Of (start, stop): scores in -1..1 of the rows start..stop with the rows 0..stop."""


def nearest_earlier(scores_of: Scores, rows: int, most: int) -> Nearest:
    """The nearest of all earlier rows. Cost: all pairs, a block of rows at a time."""
    nearest = _Selection(rows, most)
    for start, stop in _blocks(rows):
        nearest.add(start, _keys(scores_of(start, stop), start, rows))
    return nearest.result()


def nearest_by_group(
    scores_of: Scores, group: npt.NDArray[np.int64], most: int
) -> tuple[Nearest, Nearest]:
    """The nearest earlier rows of the same group, and the nearest of all other groups."""
    rows = len(group)
    within, across = _Selection(rows, most), _Selection(rows, most)
    for start, stop in _blocks(rows):
        keys = _keys(scores_of(start, stop), start, rows)
        same = group[start:stop, None] == group[None, :stop]
        within.add(start, np.where(same, keys, -1))
        across.add(start, np.where(same, -1, keys))
    return within.result(), across.result()


def cosines(vectors: Vectors) -> Scores:
    """Cosines of unit vectors."""
    return lambda start, stop: similarities(vectors[start:stop], vectors[:stop])


def centred_cosines(vectors: Vectors) -> Scores:
    """Cosines about the mean of what was said before: what all share says nothing.

    In a conversation of two, each statement names one of them: as vectors all are alike. The
    mean is over all rows before the run of 16 that a row is in, so later rows change nothing;
    it is pulled to 0 as if by some rows of zeros, since a mean of few is their topic.
    """
    steps = np.rint(vectors.astype(np.float64) * _STEPS)  # integers: exact sums
    before = np.arange(0, len(vectors), _RUN)
    sums = np.cumsum(steps, axis=0)[before] - steps[before]
    means = np.rint(sums / (before + _PRIOR_ROWS)[:, None])
    run_squares = (np.square(means).sum(axis=1) / _STEPS**2).astype(np.float32)
    centres: Vectors = (means / _STEPS).astype(np.float32)

    def scores(start: int, stop: int) -> Vectors:
        known = vectors[:stop]
        runs = slice(start // _RUN, -(-stop // _RUN))
        of_row = np.arange(start, stop) // _RUN - start // _RUN
        square = run_squares[runs][of_row, None]
        shared = similarities(centres[runs], known)
        # (v - m)(w - m) = vw - mw - mv + mm, and likewise for the squared lengths.
        lengths = np.sqrt(np.maximum((run_squares[runs, None] + 1) - 2 * shared, _LEAST))
        own = np.arange(start, stop)
        own_length = lengths[of_row, own][:, None]
        offset = shared[of_row, own][:, None] - square
        dots = similarities(known[start:], known)
        dots -= shared[of_row]
        dots -= offset
        dots /= lengths[of_row]
        dots /= own_length
        return dots

    return scores


class _Selection:
    """The greatest keys of each row."""

    def __init__(self, rows: int, most: int) -> None:
        self._most = most
        self._keys = np.full((rows, most), -1, np.int64)

    def add(self, start: int, keys: npt.NDArray[Any]) -> None:
        if keys.shape[1] > self._most:
            keys = np.partition(keys, keys.shape[1] - self._most, axis=1)[:, -self._most :]
        self._keys[start : start + len(keys), : keys.shape[1]] = np.sort(keys, axis=1)[:, ::-1]

    def result(self) -> Nearest:
        rows = len(self._keys)
        held = self._keys >= 0
        scores = np.where(held, self._keys // max(rows, 1) - _DIGITS, 0) / _DIGITS
        targets = np.where(held, rows - 1 - self._keys % max(rows, 1), -1)
        return Nearest(scores, targets, held.sum(axis=1))


def _keys(scores: Vectors, start: int, rows: int) -> npt.NDArray[np.signedinteger[Any]]:
    """Integers that sort like (score, earlier first); -1 where a row is not earlier."""
    # 32 bits sort twice as fast and hold the keys of a hundred thousand rows.
    width = np.int32 if (2 * _DIGITS + 1) * rows < 2**31 else np.int64
    keys = np.rint(scores * np.float32(_DIGITS)).astype(width)
    np.clip(keys, -_DIGITS, _DIGITS, out=keys)
    keys += _DIGITS
    keys *= rows
    columns = np.arange(scores.shape[1], dtype=width)
    keys += (rows - 1) - columns
    later = columns[None, start:] >= np.arange(start, start + len(scores), dtype=width)[:, None]
    keys[:, start:][later] = -1
    return keys


def _blocks(rows: int) -> Iterator[tuple[int, int]]:
    for start in range(0, rows, _BLOCK):
        yield start, min(start + _BLOCK, rows)
