"""EpiCache: more for layers that suffer from a prefill in blocks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from operators.replay.layer_budgets.shares import share_out
from operators.replay.layer_view import LayerView


@dataclass(frozen=True)
class Sensitivity:
    """Weights (1 - minmax(s))^alpha of how alike a layer's keys are with blocks and without.

    Kim et al., EpiCache, https://arxiv.org/abs/2509.17396. The profile belongs to the model
    and is measured once (`measure_similarities`). The paper's weight of the most similar layer
    is 0; `least` keeps room for the sinks there. `most` bounds peak memory and positions.
    Deterministic. Cost: none.

    Attributes:
        similarities: s: mean cosine per layer, 0..1.
        alpha: how sharply budgets differ.
        least: share of the mean budget that every layer gets.
        most: share of the mean budget that no layer exceeds.
    """

    name: ClassVar[str] = "sensitivity"
    version: ClassVar[int] = 1

    similarities: tuple[float, ...]
    alpha: float = 1.1
    least: float = 0.1
    most: float = 3.0

    def observe(self, view: LayerView) -> float:
        """The layer's similarity in the profile.

        Raises:
            ValueError: the profile has no such layer: it is another model's.
        """
        if view.layer >= len(self.similarities):
            raise ValueError(
                f"layer {view.layer} is not in a profile of {len(self.similarities)} layers: "
                "measure the similarities of this model"
            )
        return self.similarities[view.layer]

    def allocate(self, budget: int, observed: Sequence[float]) -> list[int]:
        """Tokens per layer."""
        low, high = min(observed), max(observed)
        spread = high - low
        weights = [
            (1 - (seen - low) / spread) ** self.alpha if spread > 0 else 1.0 for seen in observed
        ]
        return share_out(budget, weights, self.least, self.most)
