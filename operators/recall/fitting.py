"""Fits the fusion weights to questions whose evidence is known."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from operators.recall.bm25 import Floats
from operators.recall.fusion import FEATURES, shortness

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Example:
    """One question: features (messages, FEATURES), the evidence's rows, its set's name."""

    features: Matrix
    evidence: Sequence[int]
    mean_length: float
    group: str


def fit_weights(
    examples: Sequence[Example], *, l2: float = 1e-3, steps: int = 400, rate: float = 0.3
) -> dict[str, tuple[float, float]]:
    """Weights per feature for short and long messages (ListNet's top-one loss, Adam).

    Every group counts the same, however many questions it has. Deterministic.
    """
    sizes = [len(e.features) for e in examples]
    start = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    question = np.repeat(np.arange(len(examples)), sizes)
    rows = np.concatenate([_both_sides(e) for e in examples])
    weight, target = _targets(examples, start, len(rows))
    weights = np.zeros(rows.shape[1])
    first, second = np.zeros_like(weights), np.zeros_like(weights)
    for step in range(1, steps + 1):
        share = _softmax(rows @ weights, start, question)
        gradient = rows.T @ ((share - target) * weight[question]) + l2 * weights
        first = 0.9 * first + 0.1 * gradient
        second = 0.99 * second + 0.01 * gradient**2
        scale = rate * (1.0 if step < 0.7 * steps else 0.2)
        corrected = np.sqrt(second / (1 - 0.99**step)) + 1e-8
        weights -= scale * (first / (1 - 0.9**step)) / corrected
    short, long = np.round(weights.reshape(2, -1), 2)
    return {n: (float(s), float(v)) for n, s, v in zip(FEATURES, short, long, strict=True)}


def _both_sides(example: Example) -> Matrix:
    short = shortness(example.mean_length)
    return np.hstack([example.features * short, example.features * (1 - short)])


def _targets(examples: Sequence[Example], start: npt.NDArray[np.int64], rows: int):
    names = [e.group for e in examples]
    weight = np.array([1 / (names.count(n) * len(set(names))) for n in names])
    target = np.zeros(rows)
    for offset, example in zip(start, examples, strict=True):
        target[offset + np.array(list(example.evidence))] = 1 / len(example.evidence)
    return weight, target


def _softmax(
    scores: Floats, start: npt.NDArray[np.int64], question: npt.NDArray[np.int64]
) -> Floats:
    shifted = np.exp(scores - np.maximum.reduceat(scores, start)[question])
    return shifted / np.add.reduceat(shifted, start)[question]
