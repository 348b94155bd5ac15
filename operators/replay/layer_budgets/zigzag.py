"""ZigZagKV: more for layers that need more tokens to hold their attention."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from operators.replay.layer_budgets.shares import share_out
from operators.replay.layer_view import LayerView


@dataclass(frozen=True)
class ZigZag:
    """Budgets b + (B - b) L u, u being a layer's share of the tokens that hold attention.

    Zhong et al., ZigZagKV, https://arxiv.org/abs/2412.09036. A head needs the fewest tokens
    whose attention adds up to `hold`; a layer the mean of its heads (LMBA). B is the mean
    budget, b = `bound` B what every layer gets. Attention is the mean of the last queries',
    over cached keys; the numbers of `hold` and `bound` are ours, as is `most` (see
    `share_out`). Deterministic. Cost: O(window n head_dim) a query head, and a sort.

    Attributes:
        hold: attention that is to be held, 0..1.
        bound: share of the mean budget that every layer gets.
        window: last queries that are looked at.
        most: share of the mean budget that no layer exceeds.
    """

    name: ClassVar[str] = "zigzag"
    version: ClassVar[int] = 1

    hold: float = 0.9
    bound: float = 0.5
    window: int = 32
    most: float = 3.0

    def observe(self, view: LayerView) -> float:
        """Mean over query heads of the fewest keys that hold `hold` of the attention."""
        attention = view.attention(last=self.window).double().mean(dim=1)
        held = attention.sort(dim=-1, descending=True).values.cumsum(dim=-1)
        # Rounded: whether a sum is short of the bound must not depend on its order.
        short = (held * 1e6).round() < round(self.hold * 1e6)
        needed = (short.sum(dim=-1) + 1).clamp(max=attention.shape[-1])
        return float(needed.double().mean())

    def allocate(self, budget: int, observed: Sequence[float]) -> list[int]:
        """Tokens per layer."""
        whole = sum(observed)
        if whole <= 0:
            return share_out(budget, [1.0 for _ in observed], self.bound, self.most)
        floor = self.bound * budget
        weights = [floor + (budget - floor) * len(observed) * seen / whole for seen in observed]
        return share_out(budget, weights, self.bound, self.most)
