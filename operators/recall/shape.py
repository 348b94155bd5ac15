"""Shape channel: how much a message can hold, whatever the question."""

import math
import re
from collections.abc import Sequence

import numpy as np

from operators.recall.bm25 import Floats

_SENTENCE_END = re.compile(r"[.!?]+")


def length_prior(texts: Sequence[str]) -> Floats:
    """A third of the log of the length: longer messages of a short chat hold more."""
    return np.array([math.log(len(t) + 20) / 3 for t in texts])


def question_share(texts: Sequence[str]) -> Floats:
    """Share of a message's sentences that ask: who asks does not answer."""
    return np.array([_share(t) for t in texts])


def _share(text: str) -> float:
    ends = _SENTENCE_END.findall(text)
    return sum("?" in e for e in ends) / len(ends) if ends else 0.0
