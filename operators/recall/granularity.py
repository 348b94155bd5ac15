"""Granularities: the turn, the whole session, its summary and its keywords, and their router."""

from collections.abc import Mapping, Sequence

import numpy as np

from operators.base import Vectors
from operators.recall.bm25 import Floats, Ints
from operators.recall.terms import terms

TEMPERATURE = 0.2
"""Of the softmax whose entropy weighs a granularity (MemGAS)."""


class SessionUnits:
    """Each session as three units: all it says, its summary, its keywords.

    A unit's vector is the mean of its facts' vectors; the summary's are those of the
    messages that the episode rests on, the keywords are compared by their words.

    Args:
        vectors: vectors of the facts, without what they share.
        message: number of the message of each.
        session: number of the session of each message.
        episodes: (session, numbers of source messages, keywords) of each episode.
    """

    def __init__(
        self,
        vectors: Vectors,
        message: Ints,
        session: Ints,
        episodes: Sequence[tuple[int, Ints, Sequence[str]]],
    ):
        sessions = int(session.max()) + 1 if session.size else 0
        told = np.zeros(session.size, bool)
        self._keywords: list[frozenset[str]] = [frozenset()] * sessions
        for number, sources, keywords in episodes:
            told[sources] = True
            self._keywords[number] = frozenset(t for k in keywords for t in terms(k))
        self._full = _means(vectors, session[message], sessions)
        kept = told[message]
        self._summary = _means(vectors[kept], session[message][kept], sessions)
        self.has_episodes = bool(episodes)

    def scores(self, rest: Vectors, query: Sequence[str]) -> dict[str, Floats]:
        """Similarity of each session's units with the question, 0 to 1."""
        asked = frozenset(query)
        keywords = [len(asked & k) / max(len(asked), 1) for k in self._keywords]
        return {
            "session": np.round(np.maximum(self._full @ rest, 0.0), 4).astype(np.float64),
            "summary": np.round(np.maximum(self._summary @ rest, 0.0), 4).astype(np.float64),
            "keywords": np.array(keywords, np.float64),
        }


def routed(similarities: Mapping[str, Floats]) -> dict[str, float]:
    """Weight of each granularity: the surer it is of the question, the more (MemGAS).

    w_g = (1 - H_g) / sum(1 - H), H_g the entropy of the softmax of the similarities over
    TEMPERATURE, divided by the logarithm of their number: without that, every H above 1
    would turn the weights around.
    """
    sure = {name: round(1.0 - _entropy(values), 6) for name, values in similarities.items()}
    total = sum(sure.values())
    if total <= 0:
        return dict.fromkeys(sure, 1.0 / len(sure)) if sure else {}
    return {name: round(share / total, 4) for name, share in sure.items()}


def _entropy(values: Floats) -> float:
    if values.size < 2:
        return 1.0
    share = np.exp((values - values.max()) / TEMPERATURE)
    share /= share.sum()
    entropy = -float(np.sum(share * np.log(np.maximum(share, 1e-300))))
    return entropy / float(np.log(values.size))


def _means(vectors: Vectors, group: Ints, groups: int) -> Vectors:
    """Unit vectors of the groups' means; zero for a group of none."""
    sums = np.zeros((groups, vectors.shape[1]), np.float64)
    np.add.at(sums, group, vectors)
    length = np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-6)
    out: Vectors = (sums / length).astype(np.float32)
    return out
