"""Graph channel: what the best memories so far lead to, over links and scenes."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from operators.recall.bm25 import Floats, Ints

SEEDS = 15
"""Messages that a walk starts from, the best so far (MemGAS keeps as many)."""
DAMPING = 0.5
"""Chance that a walk goes on instead of starting again."""
_STEPS = 12
_LEAST = 1e-4


class Edge(NamedTuple):
    """Two messages that belong together, and how much."""

    one: int
    other: int
    weight: float


class Membership(NamedTuple):
    """A message's share in a scene."""

    scene: int
    message: int
    weight: float


class MemoryGraph:
    """Messages and scenes, joined by links between facts, membership and adjacency.

    Methods: personalised PageRank from the best messages (as in MemGAS), and spreading
    activation (Bi-Mem): messages evoke their scenes, scenes evoke their salient messages.
    A few sparse sums a question; sums run in one order, so results do not depend on row order.

    Args:
        messages: number of messages.
        edges: messages that belong together, in both directions or one; the strongest counts.
        members: which message is in which scene.
    """

    def __init__(self, messages: int, edges: Iterable[Edge], members: Iterable[Membership]):
        self._messages = messages
        best: dict[tuple[int, int], float] = {}
        for one, other, weight in edges:
            if one != other:
                key = min(one, other), max(one, other)
                best[key] = max(best.get(key, 0.0), weight)
        share: dict[tuple[int, int], float] = {}
        for scene, message, weight in members:
            share[scene, message] = max(share.get((scene, message), 0.0), weight)
        scenes = 1 + max((scene for scene, _ in share), default=-1)
        self._nodes = messages + scenes
        rows = [(a, b, w) for (a, b), w in sorted(best.items())]
        rows += [(m, messages + s, w) for (s, m), w in sorted(share.items())]
        self._start, self._end, weight = _columns([*rows, *((b, a, w) for a, b, w in rows)])
        out = np.bincount(self._start, weight, minlength=self._nodes)
        self._share = weight / out[self._start] if weight.size else weight
        inside = [(s, m, w) for (s, m), w in sorted(share.items())]
        self._scene, self._member, self._weight = _columns(inside)
        self._scenes = scenes

    def walk(self, seeds: Floats) -> Floats:
        """Log share, 0 to 1, of the walks from `seeds` (summing to 1) that arrive at a message."""
        if not self._start.size:
            return np.zeros(self._messages)
        begin = np.zeros(self._nodes)
        begin[: self._messages] = (1 - DAMPING) * seeds
        at = begin / (1 - DAMPING)
        for _ in range(_STEPS):
            moved = np.bincount(self._end, at[self._start] * self._share, minlength=self._nodes)
            at = begin + DAMPING * moved
        return logarithmic((at - begin)[: self._messages])

    def spread(self, seeds: Floats) -> Floats:
        """Log activation, 0 to 1, that the scenes of `seeds` hand on to their members."""
        if not self._scene.size:
            return np.zeros(self._messages)
        scene, member, weight = self._scene, self._member, self._weight
        evoked = np.bincount(scene, seeds[member] * weight, minlength=self._scenes)
        # What a scene got from a message itself does not come back to it.
        back = (evoked[scene] - seeds[member] * weight) * weight
        out = np.zeros(self._messages)
        np.maximum.at(out, member, np.maximum(back, 0.0))
        return logarithmic(out)


def seeds_of(scores: Floats) -> Floats:
    """The best messages so far, by the softmax of their fused scores; sums to 1."""
    best = np.argsort(-scores, kind="stable")[:SEEDS]
    out = np.zeros(scores.size)
    if best.size:
        out[best] = np.exp(scores[best] - scores[best[0]])
        out /= out.sum()
    return out


def logarithmic(share: Floats) -> Floats:
    """Shares on a logarithmic scale: 0 for none, 1 for all; rounded to four digits."""
    return np.round(np.log1p(share / _LEAST) / np.log1p(1 / _LEAST), 4)


def _columns(rows: list[tuple[int, int, float]]) -> tuple[Ints, Ints, Floats]:
    first, second, third = zip(*rows, strict=True) if rows else ((), (), ())
    return np.array(first, np.int64), np.array(second, np.int64), np.array(third, np.float64)
