"""Shape channel: how much a message can hold, whatever the question: length, form, newness."""

import math
import re
from collections.abc import Sequence

import numpy as np

from operators.base import Vectors
from operators.recall.bm25 import Floats, Ints

_SENTENCE_END = re.compile(r"[.!?]+")


def length_prior(texts: Sequence[str]) -> Floats:
    """A third of the log of the length: longer messages of a short chat hold more."""
    return np.array([math.log(len(t) + 20) / 3 for t in texts])


def question_share(texts: Sequence[str]) -> Floats:
    """Share of a message's sentences that ask: who asks does not answer."""
    return np.array([_share(t) for t in texts])


def newness(vectors: Vectors, message: Ints, session: Ints) -> tuple[Floats, Floats]:
    """How unlike each message is to the one before it, and to the one before that, in 0 to 2.

    By the mean vectors of their facts; a message without facts, or the first of its session,
    is as new as can be without contradiction: 1. Who raises a subject tells more of it than
    who keeps it up.

    Args:
        vectors: vectors of the facts.
        message: number of the message of each.
        session: number of the session of each message.
    """
    sums = np.zeros((session.size, vectors.shape[1]))
    np.add.at(sums, message, vectors)
    units = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-6)
    return _unlike(units, session, 1), _unlike(units, session, 2)


def _unlike(units: Floats, session: Ints, back: int) -> Floats:
    out = np.ones(session.size)
    same = np.flatnonzero(session[back:] == session[:-back])
    out[same + back] -= (units[same + back] * units[same]).sum(axis=1)
    return np.round(out, 4)


def _share(text: str) -> float:
    ends = _SENTENCE_END.findall(text)
    return sum("?" in e for e in ends) / len(ends) if ends else 0.0
