"""What a session is compared by: its full text, turns, summary and keywords."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log

import numpy as np
import numpy.typing as npt

from operators.base import Vectors
from operators.episodes.keywords import keyword_stems

_STEPS = 4000  # components as integers, so that sums are exact in any order
_IDF_STEPS = 100

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Session:
    """A session with its facts' vectors and what its episode says."""

    session_id: str
    vectors: Vectors
    lengths: Sequence[int]
    """Of the facts' texts."""
    cells: Sequence[str]
    """Of the facts, in event order; those of one cell need not be neighbours."""
    summary: Sequence[int]
    """Numbers of the facts in the episode's content."""
    keywords: Sequence[str]


def full_units(sessions: Sequence[Session]) -> Vectors:
    """Mean of all facts, weighed by the length of their texts."""
    return _units([_mean(session.vectors, np.array(session.lengths)) for session in sessions])


def turn_units(sessions: Sequence[Session]) -> Vectors:
    """Mean over the cells of the means of their facts: short cells count like long ones."""
    return _units([_cell_mean(session) for session in sessions])


def summary_units(sessions: Sequence[Session]) -> Vectors:
    """Mean of the facts that the episode's content is made of."""
    means = [_mean(session.vectors[list(session.summary) or slice(None)]) for session in sessions]
    return _units(means)


class KeywordUnits:
    """Sessions as sets of keyword stems, weighed by how rare they are in the conversation."""

    def __init__(self, sessions: Sequence[Session]) -> None:
        self._stems = [sorted(keyword_stems(session.keywords)) for session in sessions]
        holders: dict[str, list[int]] = {}
        for at, stems in enumerate(self._stems):
            for stem in stems:
                holders.setdefault(stem, []).append(at)
        self._holders = {stem: np.array(held) for stem, held in holders.items()}
        # Squared weights as integers: sums are exact in any order.
        self._squares = {
            stem: round(_IDF_STEPS * log(1 + len(sessions) / len(held))) ** 2
            for stem, held in holders.items()
        }
        self._norms = np.array(
            [max(sum(self._squares[stem] for stem in stems), 1) for stems in self._stems],
            np.float64,
        )

    def scores(self, start: int, stop: int) -> Vectors:
        """Cosines of sessions start..stop with sessions 0..stop."""
        shared = np.zeros((stop - start, len(self._stems)), np.float64)
        for at in range(start, stop):
            for stem in self._stems[at]:
                shared[at - start, self._holders[stem]] += self._squares[stem]
        norms = np.sqrt(self._norms[start:stop, None] * self._norms[None, :stop])
        return (shared[:, :stop] / norms).astype(np.float32)


def _mean(vectors: Vectors, weights: npt.NDArray[np.int64] | None = None) -> Floats:
    steps: Floats = np.rint(vectors.astype(np.float64) * _STEPS)
    if weights is None:
        return steps.sum(axis=0) / len(steps)
    return (steps * weights[:, None]).sum(axis=0) / max(int(weights.sum()), 1)


def _cell_mean(session: Session) -> Floats:
    order = sorted(range(len(session.cells)), key=lambda at: (session.cells[at], at))
    cells = [session.cells[at] for at in order]
    starts = [at for at, cell in enumerate(cells) if not at or cell != cells[at - 1]]
    steps: Floats = np.rint(session.vectors[order].astype(np.float64) * _STEPS)
    sums: Floats = np.add.reduceat(steps, starts, axis=0)
    sizes = np.array([stop - start for start, stop in pairwise([*starts, len(cells)])])
    # Whole steps again: a mean of fractions would depend on the order of the sum.
    means: Floats = np.rint(sums / sizes[:, None])
    return means.sum(axis=0) / len(starts)


def _units(means: Sequence[Floats]) -> Vectors:
    """Means as unit vectors."""
    matrix = np.stack(means)
    # A running sum has one order; `sum` may take another for another shape.
    norms = np.sqrt(np.cumsum(matrix * matrix, axis=1)[:, -1:])
    return (matrix / np.maximum(norms, 1e-9)).astype(np.float32)
