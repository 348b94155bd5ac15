"""Fusion: one score per message from all channels, by the length of what is searched.

A weighted sum (softmax-fitted, listwise: ListNet, https://doi.org/10.1145/1273496.1273513)
with two weights per feature, for short chat and for long answers. In chat a message means
little without its neighbours; a long answer stands alone and drags its neighbours along.
Which of the two a log is, its mean message length tells, continuously.
"""

import json
from collections.abc import Collection, Mapping
from importlib.resources import files

import numpy as np

from operators.recall.bm25 import Floats

HALF_LENGTH = 500.0
"""Mean characters a message at which both sets of weights count half."""

CHANNELS: Mapping[str, tuple[str, ...]] = {
    "words": ("word", "fact_word"),
    "dense": (
        "best_fact",
        "mean_fact",
        "best_apart",
        "mean_apart",
        "best_said",
        "mean_said",
    ),
    "neighbours": (
        "word_1",
        "word_2",
        "word_session",
        "word_before",
        "word_after",
        "word_before_2",
        "word_after_2",
        "dense_before",
        "dense_after",
        "dense_before_2",
        "dense_after_2",
        "dense_session",
        "session_best",
        "after_question",
    ),
    "entity": ("entity", "entity_session"),
    "speaker": ("named", "first_person"),
    "time": ("tells_when", "date"),
    "shape": ("length", "asks", "new_1", "new_2"),
    "granularity": ("session", "summary", "keywords", "routed"),
    "scene": ("scene_word", "scene_near"),
    "persona": ("persona",),
    "tree": ("tree",),
    "graph": ("walk", "spread"),
    "feedback": ("fed_best", "fed_mean", "fed_word"),
}
"""Features of each channel."""
OFF_BY_DEFAULT: frozenset[str] = frozenset({"feedback", "granularity", "persona", "scene", "tree"})
"""Channels that count only where a search asks for them.

Beside the others they add nothing on the development sets: see the folds of
`benchmarks.fit_recall --ablate`.
"""
LED_TO: frozenset[str] = frozenset({"graph", "feedback"})
"""Channels that start from the best messages by the others: the seeds."""
FEATURES = tuple(f for features in CHANNELS.values() for f in features)
Weights = Mapping[str, tuple[float, float]]  # per feature: short messages, long messages


def features_of(channels: Collection[str]) -> tuple[str, ...]:
    """Features of some channels, in the order of FEATURES."""
    return tuple(f for c, features in CHANNELS.items() if c in channels for f in features)


CHANNELS_OF: Mapping[str, frozenset[str]] = {
    "seeds": frozenset(CHANNELS) - OFF_BY_DEFAULT - LED_TO,
    "default": frozenset(CHANNELS) - OFF_BY_DEFAULT,
    "all": frozenset(CHANNELS),
}
"""Channels of each set of weights: what finds seeds, what is on by default, and everything."""


def load_weights(name: str = "default") -> dict[str, tuple[float, float]]:
    """A set of weights by its name in CHANNELS_OF, per feature: (short, long messages)."""
    text = files("operators.recall").joinpath("weights.json").read_text("utf-8")
    found = json.loads(text)[name]
    return {feature: (float(short), float(long)) for feature, (short, long) in found.items()}


def shortness(mean_length: float) -> float:
    """1 for chat, 0 for long answers; half at HALF_LENGTH."""
    return 1.0 / (1.0 + (mean_length / HALF_LENGTH) ** 2)


def fuse(
    features: Mapping[str, Floats],
    weights: Weights,
    mean_length: float,
    without: Collection[str] = (),
) -> tuple[Floats, dict[str, Floats]]:
    """Fused score per message, and each channel's share of it; rounded to four digits.

    Counts the channels that have weights and are not named in `without`.
    """
    short = shortness(mean_length)
    shares: dict[str, Floats] = {}
    for channel, names in CHANNELS.items():
        if channel in without or names[0] not in weights:
            continue
        parts = [features[n] * (short * weights[n][0] + (1 - short) * weights[n][1]) for n in names]
        shares[channel] = np.sum(parts, axis=0)
    total = np.sum(list(shares.values()), axis=0) if shares else np.zeros(0)
    return np.round(total, 4), {c: np.round(s, 4) for c, s in shares.items()}
