"""Retrieval metrics at message level."""

import math
from collections.abc import Collection, Sequence


def recall_at(ranked: Sequence[str], relevant: Collection[str], k: int) -> float:
    """Share of the relevant messages among the first `k`."""
    return len(set(ranked[:k]) & set(relevant)) / len(set(relevant))


def all_at(ranked: Sequence[str], relevant: Collection[str], k: int) -> float:
    """1 if every relevant message is among the first `k`, else 0."""
    return float(set(relevant) <= set(ranked[:k]))


def ndcg_at(ranked: Sequence[str], relevant: Collection[str], k: int) -> float:
    """Normalised discounted cumulative gain (Järvelin and Kekäläinen 2002), binary gains."""
    wanted = set(relevant)
    gain = sum(1 / math.log2(i + 2) for i, name in enumerate(ranked[:k]) if name in wanted)
    ideal = sum(1 / math.log2(i + 2) for i in range(min(len(wanted), k)))
    return gain / ideal
