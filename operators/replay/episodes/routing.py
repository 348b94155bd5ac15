"""Which episode a question goes to."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

import numpy as np

from operators.base import Vectors
from operators.vectors import exact_dots


class HoldsMessages(Protocol):
    """An episode, or a stored cache of one."""

    @property
    def message_ids(self) -> tuple[str, ...]:
        """Messages it holds."""
        ...


Holder = TypeVar("Holder", bound=HoldsMessages)


def route_by_evidence(ranked: Sequence[Sequence[str]], episodes: Sequence[Holder]) -> Holder | None:
    """The episode that holds most of what a search found; None if none holds any.

    Each result gives 1 / its rank to the episodes of its source messages, in equal shares.
    On chats, the flatter 1 / (60 + rank) of reciprocal rank fusion went wrong more often,
    and the more so the more results it was given.

    Args:
        ranked: source message ids of the results, the best result first.
        episodes: of the question's conversation. Ties go to the first.
    """
    place = {name: at for at, episode in enumerate(episodes) for name in episode.message_ids}
    shares = np.zeros(len(episodes))
    for rank, sources in enumerate(ranked, 1):
        for name in sources:
            if name in place:
                shares[place[name]] += 1 / rank / len(sources)
    if not shares.any():
        return None
    return episodes[int(np.round(shares, 9).argmax())]


def route_by_centroid(vector: Vectors, centroids: Vectors) -> int:
    """Number of the nearest centroid (EpiCache, https://arxiv.org/abs/2509.17396).

    Args:
        vector: (384,) of the question, unit length.
        centroids: (episodes, 384), unit length, at least one. Ties go to the first.
    """
    return int(exact_dots(vector, centroids).argmax())
