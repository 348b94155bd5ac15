"""Which cache a question goes to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np

from jobs.replay.kv_rows import KvEpisode
from operators.base import Vectors
from operators.recall.searcher import Result
from operators.replay.episodes.routing import route_by_centroid, route_by_evidence


@dataclass(frozen=True)
class Route:
    """A question on its way to a cache.

    Attributes:
        question: as asked.
        asked_at: when; None leaves it open.
        cache: that is to answer.
        by: what decided: what search found, or where nothing was, the nearest centre.
        evidence: messages in the episode that search found, the best first.
        question_id: of a batch.
    """

    question: str
    asked_at: datetime | None
    cache: KvEpisode
    by: Literal["evidence", "centroid"]
    evidence: tuple[str, ...] = ()
    question_id: str | None = None

    @property
    def source_message_ids(self) -> list[str]:
        """All messages of the episode: what search found first, then the others in order."""
        return list(dict.fromkeys([*self.evidence, *self.cache.source_message_ids]))


@dataclass(frozen=True)
class _Held:
    message_ids: tuple[str, ...]
    cache: KvEpisode


def find_route(
    question: str,
    asked_at: datetime | None,
    results: Sequence[Result],
    vector: Vectors,
    caches: Sequence[KvEpisode],
    question_id: str | None = None,
) -> Route:
    """The cache whose messages the search's results rest on most; else the nearest centre.

    Args:
        question: as asked.
        asked_at: when.
        results: of the search for it, the best first; of the caches' conversation.
        vector: (384,) of the question.
        caches: of all episodes of the conversation; at least one.
        question_id: of a batch.
    """
    held = [_Held(cache.source_message_ids, cache) for cache in caches]
    ranked = [result.source_message_ids for result in results]
    chosen = route_by_evidence(ranked, held)
    if chosen is None:
        nearest = route_by_centroid(vector, np.stack([cache.centroid for cache in caches]))
        return Route(question, asked_at, caches[nearest], "centroid", (), question_id)
    mine = set(chosen.message_ids)
    found = dict.fromkeys(name for sources in ranked for name in sources if name in mine)
    return Route(question, asked_at, chosen.cache, "evidence", tuple(found), question_id)
