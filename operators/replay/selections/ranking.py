"""Ranking scores so that noise decides nothing."""

import torch

_STEPS = 2**17
"""Steps of a mantissa that a rounded score keeps: five decimal digits."""


def rounded(scores: torch.Tensor) -> torch.Tensor:
    """Scores to 17 significant bits, about five digits; infinities stay.

    Sums that differ in their last bits, on another machine or with another number of
    threads, then mostly count as equal, and the place decides. Whole numbers below 131,072
    stay as they are.

    Raises:
        ValueError: a score is NaN, which has no rank.
    """
    if scores.isnan().any():
        raise ValueError("a token's score is NaN: the model's keys or values overflowed")
    finite = torch.where(scores.isinf(), 0.0, scores)
    mantissa, exponent = torch.frexp(finite)
    kept = torch.ldexp((mantissa * _STEPS).round() / _STEPS, exponent)
    return torch.where(scores.isinf(), scores, kept)


def best_first(scores: torch.Tensor) -> torch.Tensor:
    """Places along the last dimension by falling score; of equals the earlier first."""
    return torch.sort(scores, dim=-1, descending=True, stable=True).indices


def best(scores: torch.Tensor, count: int) -> torch.Tensor:
    """The `count` best places along the last dimension (all, if fewer), ascending."""
    return best_first(scores)[..., :count].sort(dim=-1).values
