"""Scene channel: messages of the scenes that the question is about."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from operators.recall.bm25 import Bm25, Floats, Ints, TermCounts, scaled
from operators.recall.terms import terms


class SceneIndex:
    """Titles, keywords and summaries of the scenes, and which message is in which.

    A scene answers by its own words, and by how near its members are to the question on the
    whole. A message gets the best of its scenes, times its weight there.

    Args:
        scenes: rows of `scenes`, sorted.
        members: scene (its place in `scenes`), message and weight of each member.
        fact_row: row of each member among the facts.
        messages: number of messages.
    """

    def __init__(
        self,
        scenes: Sequence[Mapping[str, Any]],
        members: tuple[Ints, Ints, Floats],
        fact_row: Ints,
        messages: int,
    ):
        self._scene, self._message, self._weight = members
        self._fact_row = fact_row
        self._scenes, self._messages = len(scenes), messages
        said = [terms(" ".join([s["title"], *s["keywords"], s["summary"]])) for s in scenes]
        self._words = Bm25(TermCounts.of(said))

    def words(self, query: Sequence[str]) -> Floats:
        """BM25 of the scenes' own words, per message; 0 to 1."""
        return self._handed_down(scaled(self._words.scores(query)))

    def near(self, nearness: Floats) -> Floats:
        """Mean cosine of the scenes' members with the question, per message.

        `nearness`: cosine of each fact; NaN for none.
        """
        near = np.nan_to_num(nearness[self._fact_row])
        count = np.maximum(np.bincount(self._scene, minlength=self._scenes), 1)
        mean = np.bincount(self._scene, near, minlength=self._scenes) / count
        return self._handed_down(np.maximum(mean, 0.0))

    def _handed_down(self, scores: Floats) -> Floats:
        out = np.zeros(self._messages)
        np.maximum.at(out, self._message, scores[self._scene] * self._weight)
        return np.round(out, 4)
