"""The nearest earlier rows of each row of a sequence."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from operators.base import Vectors
from operators.vectors import Similarities

Ints = npt.NDArray[np.int64]

_BLOCK = 512
_BLOCK_SCORES = 1 << 25  # a block of long rows is lower, so that it takes 128 MiB at most
_COLUMNS = 4096  # worked on together: what a processor holds near by
_DENSE = 1024  # first columns, all of which are ranked
_SPARSE = 16  # where more than one in so many may count, all are ranked
_DIGITS = 10_000
_STEPS = 4000  # as in `similarities`
_PRIOR_ROWS = 10
_RUN = 16  # rows that share a mean; divides all blocks
_JUST_LESS = 0.49  # a score is rounded to digits: half a digit more is the next, but for float32
_NEVER = np.float32(-1e9)  # no score
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
        nearest.add(start, scores_of(start, stop))
    return nearest.result()


def nearest_by_group(
    scores_of: Scores, group: npt.NDArray[np.int64], most: int
) -> tuple[Nearest, Nearest]:
    """The nearest earlier rows of the same group, and the nearest of all other groups."""
    rows = len(group)
    within, across = _Selection(rows, most), _Selection(rows, most)
    for start, stop in _blocks(rows):
        scores = scores_of(start, stop)
        # Groups are runs of rows, more or less: few columns are of a group of these rows.
        columns = np.flatnonzero(np.isin(group[:stop], group[start:stop]))
        same = group[start:stop, None] == group[None, columns]
        own = np.where(same, scores[:, columns], _NEVER)
        scores[:, columns] = np.where(same, _NEVER, scores[:, columns])
        within.add(start, own, columns)
        across.add(start, scores)
    return within.result(), across.result()


def cosines(vectors: Vectors) -> Scores:
    """Cosines of unit vectors."""
    alike = Similarities(vectors)
    return lambda start, stop: alike.of(slice(start, stop), stop)


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
    known, centres = Similarities(vectors), Similarities((means / _STEPS).astype(np.float32))

    def scores(start: int, stop: int) -> Vectors:
        runs = slice(start // _RUN, -(-stop // _RUN))
        square = run_squares[runs, None]
        shared = known.with_others(centres, runs, stop)
        # (v - m)(w - m) = vw - mw - mv + mm, and likewise for the squared lengths.
        lengths = np.sqrt(np.maximum((square + 1) - 2 * shared, _LEAST))
        dots = known.of(slice(start, stop), stop)
        for run, first in enumerate(range(start, stop, _RUN)):
            rows = np.arange(first, min(first + _RUN, stop))
            offset = (shared[run, rows] - square[run])[:, None]
            own_length = lengths[run, rows][:, None]
            for column in range(0, stop, _COLUMNS):
                at = slice(column, column + _COLUMNS)
                part = dots[first - start : first - start + _RUN, at]
                part -= shared[run, at]
                part -= offset
                part /= lengths[run, at]
                part /= own_length
        return dots

    return scores


class _Selection:
    """The greatest keys of each row, the greatest first; a key stands for score and column."""

    def __init__(self, rows: int, most: int) -> None:
        self._rows = rows
        self._most = most
        self._keys = np.full((rows, most), -1, np.int64)

    def add(self, start: int, scores: Vectors, columns: Ints | None = None) -> None:
        """Scores of rows from `start` on, with all columns or those given, ascending."""
        height, width = scores.shape
        names = np.arange(width) if columns is None else columns
        best = np.full((height, self._most), -1, np.int64)
        first, last = 0, _DENSE
        while first < width:
            part = scores[:, first:last]
            best = self._with(best, part, names[first:last], start)
            # Of twice as many columns, about as many are better than the best so far.
            first, last = last, 2 * last
        self._keys[start : start + height] = best

    def _with(self, best: Ints, scores: Vectors, columns: Ints, start: int) -> Ints:
        """The best with those among some more columns, all of which come later."""
        # What is no better than the worst of a full row is left out, without a further look.
        least = best[:, -1] // max(self._rows, 1) - _DIGITS
        floor = ((least + _JUST_LESS) / _DIGITS).astype(np.float32)
        better = scores >= np.where(best[:, -1] < 0, _NEVER / 2, floor)[:, None]
        if np.count_nonzero(better) * _SPARSE > better.size:
            keys = self._keys_of(scores, columns)
            keys[~better | (columns >= np.arange(start, start + len(scores))[:, None])] = -1
            keys = np.concatenate([best, keys], axis=1)
            keys = np.partition(keys, keys.shape[1] - self._most, axis=1)[:, -self._most :]
            return np.sort(keys, axis=1)[:, ::-1]
        row, at = np.nonzero(better)
        earlier = columns[at] < start + row
        row, at = row[earlier], at[earlier]
        return _merged(best, row, self._keys_of(scores[row, at], columns[at]))

    def _keys_of(self, scores: Vectors, columns: Ints) -> Ints:
        """Integers that sort like (score, earlier first)."""
        units = np.rint(scores * np.float32(_DIGITS)).astype(np.int64)
        return (units.clip(-_DIGITS, _DIGITS) + _DIGITS) * self._rows + (self._rows - 1) - columns

    def result(self) -> Nearest:
        """Of all rows."""
        rows = len(self._keys)
        held = self._keys >= 0
        scores = np.where(held, self._keys // max(rows, 1) - _DIGITS, 0) / _DIGITS
        targets = np.where(held, rows - 1 - self._keys % max(rows, 1), -1)
        return Nearest(scores, targets, held.sum(axis=1))


def _merged(best: Ints, row: Ints, keys: Ints) -> Ints:
    """The greatest keys of each row, with some more of some rows."""
    if not len(row):
        return best
    most = best.shape[1]
    changed = np.unique(row)
    rows = np.concatenate([np.repeat(changed, most), row])
    every = np.concatenate([best[changed].ravel(), keys])
    order = np.lexsort((-every, rows))
    rows, every = rows[order], every[order]
    place = np.arange(len(rows)) - np.searchsorted(rows, rows)
    first = place < most
    out = best.copy()
    out[rows[first], place[first]] = every[first]
    return out


def _blocks(rows: int) -> Iterator[tuple[int, int]]:
    height = min(_BLOCK, max(_RUN, _BLOCK_SCORES // max(rows, 1) // _RUN * _RUN))
    for start in range(0, rows, height):
        yield start, min(start + height, rows)
