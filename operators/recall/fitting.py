"""Fits the fusion weights to questions whose evidence is known."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from operators.recall.fusion import FEATURES, Weights, fuse, shortness

Singles = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Example:
    """One question with its candidates: the messages that may be among the best.

    Attributes:
        features: shape (candidates, FEATURES).
        evidence: rows of the candidates that are evidence.
        mean_length: mean characters of a message of the conversation.
        group: the set it belongs to.
        conversation: its conversation, which no fold may split.
        category: its category.
        missed: how much evidence is no candidate.
    """

    features: Singles
    evidence: Sequence[int]
    mean_length: float
    group: str
    conversation: str = ""
    category: str = ""
    missed: int = 0

    def ranked(self, weights: Weights) -> list[int]:
        """Rows of the candidates, best first, as the fusion would order them."""
        columns = {name: self.features[:, i].astype(np.float64) for i, name in enumerate(FEATURES)}
        scores, _ = fuse(columns, weights, self.mean_length)
        return np.argsort(-scores, kind="stable").tolist()


def fit_weights(
    examples: Sequence[Example],
    names: Sequence[str] = FEATURES,
    *,
    l2: float = 3e-3,
    steps: int = 150,
    rate: float = 0.3,
) -> dict[str, tuple[float, float]]:
    """Weights of the features `names` for short and long messages (ListNet's top-one loss, Adam).

    A group counts the square root of its questions: a small one is heard, and not learnt by
    heart. Deterministic.
    """
    examples = [e for e in examples if e.evidence]
    columns = [FEATURES.index(name) for name in names]
    sizes = [len(e.features) for e in examples]
    start = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    question = np.repeat(np.arange(len(examples)), sizes)
    # A row a feature: the sums below then run along memory, several times as fast.
    rows = np.concatenate([e.features[:, columns].T for e in examples], axis=1)
    short = np.array([shortness(e.mean_length) for e in examples])[question]
    sides = np.stack([short, 1 - short]).astype(np.float32)
    weight, target = _targets(examples, start, rows.shape[1])
    weights = np.zeros((2, len(rows)))
    first, second = np.zeros_like(weights), np.zeros_like(weights)
    for step in range(1, steps + 1):
        scores = ((weights.astype(np.float32) @ rows) * sides).sum(axis=0)
        error = (_softmax(scores, start, question) - target) * weight
        gradient = (sides * error) @ rows.T + l2 * weights
        first = 0.9 * first + 0.1 * gradient
        second = 0.99 * second + 0.01 * gradient**2
        scale = rate * (1.0 if step < 0.7 * steps else 0.2)
        corrected = np.sqrt(second / (1 - 0.99**step)) + 1e-8
        weights -= scale * (first / (1 - 0.9**step)) / corrected
    fitted = np.round(weights, 2).T.tolist()
    return {name: (s, v) for name, (s, v) in zip(names, fitted, strict=True)}


def folds(
    examples: Sequence[Example], number: int = 5
) -> Iterator[tuple[list[Example], list[Example]]]:
    """(train, test) per fold; the conversations of each group are dealt out in turn."""
    keys = sorted({(e.group, e.conversation) for e in examples})
    groups = [group for group, _ in keys]
    place = {key: (n - groups.index(key[0])) % number for n, key in enumerate(keys)}
    for fold in sorted(set(place.values())):
        test = [e for e in examples if place[e.group, e.conversation] == fold]
        train = [e for e in examples if place[e.group, e.conversation] != fold]
        if train:
            yield train, test


def _targets(
    examples: Sequence[Example], start: npt.NDArray[np.int64], rows: int
) -> tuple[Singles, Singles]:
    """Per row, what its question counts, and its share of the evidence."""
    size = Counter(e.group for e in examples)
    total = sum(count**0.5 for count in size.values())
    weight, target = np.zeros(rows, np.float32), np.zeros(rows, np.float32)
    for offset, example in zip(start, examples, strict=True):
        weight[offset : offset + len(example.features)] = size[example.group] ** -0.5 / total
        target[offset + np.array(list(example.evidence))] = 1 / len(example.evidence)
    return weight, target


def _softmax(
    scores: Singles, start: npt.NDArray[np.int64], question: npt.NDArray[np.int64]
) -> Singles:
    shifted = np.exp(scores - np.maximum.reduceat(scores, start)[question])
    share: Singles = (shifted / np.add.reduceat(shifted, start)[question]).astype(np.float32)
    return share
