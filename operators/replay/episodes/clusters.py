"""Topics of an era: k-means over its first windows, whose centres are then frozen."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from operators.base import Vectors
from operators.replay.episodes.windows import Window, unit
from operators.vectors import similarities

_WINDOWS_PER_TOPIC = 4
_STARTS = 10


def clusters_of(era: Sequence[Window], clusters: int, anchors: int) -> list[list[Window]]:
    """The windows of an era by topic, in their order; the topic of the first window first.

    EpiCache (https://arxiv.org/abs/2509.17396) clusters all windows. Here only the first
    `anchors` decide the centres, and every window goes to the nearest, so that a new window
    changes one topic and no other. Few windows have fewer topics (one for each four of
    them). Cost: k-means over `anchors` vectors. Deterministic: fixed seed, one thread,
    rounded vectors and centres.
    """
    first = np.stack([window.vector for window in era[:anchors]])
    distinct = len(np.unique(first, axis=0))
    count = min(clusters, max(1, len(first) // _WINDOWS_PER_TOPIC), distinct)
    if count == 1:
        return [list(era)]
    centres = _centres(first, count)
    near = similarities(np.stack([window.vector for window in era]), centres)
    found: dict[int, list[Window]] = {}
    for window, topic in zip(era, near.argmax(axis=1).tolist(), strict=True):
        found.setdefault(topic, []).append(window)
    return list(found.values())


def _centres(vectors: Vectors, count: int) -> Vectors:
    # Imported here: two seconds that only a build of episodes needs.
    from sklearn.cluster import KMeans  # noqa: PLC0415
    from threadpoolctl import threadpool_limits  # noqa: PLC0415

    kind: Any = KMeans  # Its annotations are wrong about n_init.
    means = kind(count, n_init=_STARTS, random_state=0)
    with threadpool_limits(1):  # Threads add up in whatever order they finish.
        means.fit(vectors.astype(np.float64))
    return np.stack([unit(centre) for centre in means.cluster_centers_])
