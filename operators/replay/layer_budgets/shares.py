"""Whole numbers of tokens out of shares."""

from collections.abc import Sequence
from math import isfinite


def share_out(budget: int, weights: Sequence[float], least: float, most: float) -> list[int]:
    """Tokens per layer, in proportion to `weights` within bounds; their sum is exact.

    Layers beyond a bound get the bound, and the others share what is left, until all fit.
    Fractions go to the largest remainders, of equals to the lower layer. Weights are rounded
    to six digits first, so that noise decides nothing. With no weight anywhere all are equal.

    Args:
        budget: tokens per layer on average; the sum is `budget` x layers.
        weights: of the layers, at least 0.
        least: share of `budget` that every layer gets; in any case 1 token.
        most: share of `budget` that no layer exceeds, unless it is below 1.

    Raises:
        ValueError: a weight is negative or not finite, or there are no layers.
    """
    if not weights or not all(isfinite(weight) and weight >= 0 for weight in weights):
        raise ValueError(f"weights of layers must be finite and not negative: {list(weights)}")
    low = float(max(1, min(budget, int(least * budget))))
    high = float(max(1, budget, int(most * budget)))
    rounded = [float(f"{weight:.6g}") for weight in weights]
    ideal = _bounded(float(max(1, budget) * len(weights)), rounded, low, high)
    return _whole(ideal, max(1, budget) * len(weights))


def _bounded(total: float, weights: Sequence[float], low: float, high: float) -> list[float]:
    """Shares of `total` by weight, each within low..high."""
    fixed: dict[int, float] = {}
    while True:
        rest = total - sum(fixed.values())
        free = [at for at in range(len(weights)) if at not in fixed]
        shares = _proportional(rest, [weights[at] for at in free])
        ideal = dict(zip(free, shares, strict=True))
        over = {at: high for at, share in ideal.items() if share > high}
        under = {at: low for at, share in ideal.items() if share < low}
        if not over and not under:
            return [fixed.get(at, ideal.get(at, 0.0)) for at in range(len(weights))]
        # Fix the side that is further out: what it gives or takes may cure the other side.
        excess = sum(ideal[at] - high for at in over)
        lack = sum(low - ideal[at] for at in under)
        if excess >= lack:
            fixed |= over
        if lack >= excess:
            fixed |= under


def _proportional(total: float, weights: Sequence[float]) -> list[float]:
    whole = sum(weights)
    if whole <= 0:
        return [total / len(weights) for _ in weights]
    return [total * weight / whole for weight in weights]


def _whole(ideal: Sequence[float], total: int) -> list[int]:
    """Whole numbers next to `ideal` whose sum is `total`."""
    # A share that is whole but for rounding error must not lose a token.
    clean = [round(share, 6) for share in ideal]
    tokens = [int(share) for share in clean]
    by_remainder = sorted(range(len(clean)), key=lambda at: (tokens[at] - clean[at], at))
    for at in by_remainder[: total - sum(tokens)]:
        tokens[at] += 1
    return tokens
