"""CAKE: more for layers whose attention is spread out and moves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from operators.replay.layer_budgets.shares import share_out
from operators.replay.layer_budgets.window import older_attention
from operators.replay.layer_view import LayerView


@dataclass(frozen=True)
class Cake:
    """Weights H^(1/tau1) V^(1/tau2) of entropy and variance of the last queries' attention.

    Qin et al., CAKE, https://arxiv.org/abs/2503.12491. Both are sums over heads and over the
    keys before the window: H of -a log a over all queries, V of the variance of a between the
    queries. The authors tune both temperatures per model; 1 weighs the two alike.
    They give layers their shares while the prompt's prefill runs, here after each block: what
    a layer lost earlier does not come back. `least` and `most` are ours (see `share_out`).
    Deterministic. Cost: O(window n head_dim) a query head.

    Attributes:
        window: last queries that are looked at.
        tau1: temperature of the spread over tokens.
        tau2: temperature of the change over time.
        least: share of the mean budget that every layer gets.
        most: share of the mean budget that no layer exceeds.
    """

    name: ClassVar[str] = "cake"
    version: ClassVar[int] = 1

    window: int = 32
    tau1: float = 1.0
    tau2: float = 1.0
    least: float = 0.1
    most: float = 3.0

    def observe(self, view: LayerView) -> float:
        """H^(1/tau1) V^(1/tau2), at least 0."""
        attention = older_attention(view, self.window).double()
        spread = -torch.special.xlogy(attention, attention).sum()
        several = attention.shape[1] > 1
        change = attention.var(dim=1).sum() if several else attention.new_zeros(())
        return float(spread.clamp(min=0)) ** (1 / self.tau1) * float(change) ** (1 / self.tau2)

    def allocate(self, budget: int, observed: Sequence[float]) -> list[int]:
        """Tokens per layer."""
        return share_out(budget, observed, self.least, self.most)
