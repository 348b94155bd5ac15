"""A conversation into episodes: windows, eras, topics, parts."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import pyarrow as pa

from operators.frames import SCOPE, values
from operators.replay.episodes.clusters import clusters_of
from operators.replay.episodes.episode import ReplayEpisode
from operators.replay.episodes.eras import eras_of
from operators.replay.episodes.windows import Window, unit, windows_of
from operators.replay.spec import EpisodeSpec
from operators.vectors import exact_dots
from schemas.ids import content_hash

COLUMNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "messages": (
            *SCOPE,
            *("message_id", "content_hash", "is_current", "speaker", "timestamp", "seq"),
            *("text", "session_id"),
        ),
        "facts": ("fact_id", "text", "source_message_ids"),
        "embeddings": ("text_hash", "vector"),
    }
)
"""What is read of each table; a caller may give more."""


def find_episodes(
    messages: pa.Table, facts: pa.Table, embeddings: pa.Table, spec: EpisodeSpec
) -> list[ReplayEpisode]:
    """The episodes of ONE conversation; every current message is in exactly one.

    Method: EpiCache (https://arxiv.org/abs/2509.17396), made incremental: see `eras` and
    `clusters`. A topic of more than `spec.max_chars` is cut into parts at window ends; parts
    fill in order, so what is added goes to the last one. A window longer than that is a
    part of its own. A pure function of the log (messages, and the facts and vectors
    recorded of them), whatever the order of rows. No model is called.

    Args:
        messages: the table `messages`; versions that are not current are passed over.
        facts: the table `facts`.
        embeddings: the table `embeddings`, of one model. Without facts or vectors there is
            one topic.
        spec: sizes.

    Returns:
        Episodes by their first messages; none without current messages.

    Raises:
        ValueError: messages of two conversations, or vectors of two models.
    """
    scopes = set(zip(*(values(messages, name) for name in SCOPE), strict=True))
    if not scopes:
        return []
    if len(scopes) > 1:
        raise ValueError(f"episodes are found one conversation at a time, not {len(scopes)}")
    tenant, conversation = scopes.pop()
    sessions = windows_of(messages, facts, embeddings, spec.window)
    parts = [
        part
        for era in eras_of(sessions, spec.era)
        for topic in clusters_of(era, spec.clusters, spec.anchors)
        for part in _parts(topic, spec.max_chars)
    ]
    parts.sort(key=lambda part: part[0].rows)
    return [_episode(tenant, conversation, part, spec.patch_windows) for part in parts]


def _parts(topic: Sequence[Window], max_chars: int) -> list[list[Window]]:
    parts: list[list[Window]] = []
    chars = 0
    for window in topic:
        if not parts or chars + window.chars > max_chars:
            parts.append([])
            chars = 0
        parts[-1].append(window)
        chars += window.chars
    return parts


def _episode(
    tenant: str, conversation: str, part: Sequence[Window], patch_windows: int
) -> ReplayEpisode:
    vectors = np.stack([window.vector for window in part])
    centroid = unit(vectors.astype(np.float64).sum(axis=0))
    nearest = np.argsort(-exact_dots(centroid, vectors), kind="stable")[:patch_windows]
    said = _ordered(part)
    patch = [name for _, name, _ in _ordered([part[row] for row in nearest.tolist()])]
    content = [piece for _, name, version in said for piece in (name, version)]
    return ReplayEpisode(
        tenant,
        conversation,
        content_hash("replay_episode", tenant, conversation, *content, None, *patch),
        tuple(name for _, name, _ in said),
        tuple(patch),
        centroid,
    )


def _ordered(part: Sequence[Window]) -> list[tuple[int, str, str]]:
    """Place, id and version of the part's messages, in the conversation's order."""
    return sorted(
        row
        for window in part
        for row in zip(window.rows, window.message_ids, window.versions, strict=True)
    )
