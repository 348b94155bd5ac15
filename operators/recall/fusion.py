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
    "dense": ("best_fact", "mean_fact"),
    "neighbours": (
        "word_1",
        "word_2",
        "word_session",
        "dense_before",
        "dense_after",
        "dense_session",
        "after_question",
    ),
    "entity": ("entity", "entity_session"),
    "speaker": ("named", "first_person"),
    "time": ("tells_when", "date"),
    "shape": ("length", "asks"),
}
OFF_BY_DEFAULT: frozenset[str] = frozenset()
"""Channels that count only where a search asks for them."""
FEATURES = tuple(f for features in CHANNELS.values() for f in features)


def load_weights() -> dict[str, tuple[float, float]]:
    """Weights per feature: (short messages, long messages)."""
    text = files("operators.recall").joinpath("weights.json").read_text("utf-8")
    return {name: (float(short), float(long)) for name, (short, long) in json.loads(text).items()}


def shortness(mean_length: float) -> float:
    """1 for chat, 0 for long answers; half at HALF_LENGTH."""
    return 1.0 / (1.0 + (mean_length / HALF_LENGTH) ** 2)


def fuse(
    features: Mapping[str, Floats],
    weights: Mapping[str, tuple[float, float]],
    mean_length: float,
    without: Collection[str] = (),
) -> tuple[Floats, dict[str, Floats]]:
    """Fused score per message, and each channel's share of it; rounded to four digits."""
    short = shortness(mean_length)
    shares: dict[str, Floats] = {}
    for channel, names in CHANNELS.items():
        if channel in without:
            continue
        parts = [features[n] * (short * weights[n][0] + (1 - short) * weights[n][1]) for n in names]
        shares[channel] = np.sum(parts, axis=0)
    total = np.sum(list(shares.values()), axis=0) if shares else np.zeros(0)
    return np.round(total, 4), {c: np.round(s, 4) for c, s in shares.items()}
