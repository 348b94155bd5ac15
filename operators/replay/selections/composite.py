"""KVCompose: composite tokens, ranked over all layers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from operators.replay.selections.ranking import best, best_first, rounded


@dataclass(frozen=True)
class Composite:
    """Composite r of a layer is the r-th best token of each head; the best composites stay.

    Akulov et al., KVCompose, https://arxiv.org/abs/2509.05165. A composite is worth the mean
    of its parts. Ranked over all layers, a layer that needs more takes it from the others:
    layers differ in length, which engines with one block table for all layers cannot serve.
    Scores must be comparable between layers (attention is; cosines of keys hardly are).

    Departures: the authors' code makes the first layer the longest, for their cache's sake;
    not here. `least` and `most` are ours: sinks must fit, and without an upper bound one layer
    could outgrow the peak memory and the model's positions, block after block.

    Deterministic; ties go to the lower layer, then to the earlier token. Cost: a sort per
    layer, and one of all composites.

    Attributes:
        across_layers: False keeps each layer's budget: equally long layers where budgets are.
        common: weight of the heads' mean score, added to each head's own; for stability.
        least: share of the mean budget that every layer keeps.
        most: share of the mean budget that no layer exceeds.
    """

    name: ClassVar[str] = "composite"
    version: ClassVar[int] = 1

    across_layers: bool = True
    common: float = 1.0
    least: float = 0.1
    most: float = 3.0

    def __post_init__(self) -> None:
        """Raises ValueError unless 0 <= least <= 1 <= most."""
        if not 0 <= self.least <= 1 <= self.most:
            raise ValueError(f"0 <= least <= 1 <= most does not hold: {self}")

    def choose(self, scores: Sequence[torch.Tensor], budgets: Sequence[int]) -> list[torch.Tensor]:
        """Per layer (kv_heads, k), ascending."""
        if len(scores) != len(budgets):
            raise ValueError(f"{len(scores)} layers, {len(budgets)} budgets")
        own = [rounded(self._worth(layer)) for layer in scores]
        lengths = self._lengths(own, budgets) if self.across_layers else budgets
        return [best(layer, length) for layer, length in zip(own, lengths, strict=True)]

    def _worth(self, layer: torch.Tensor) -> torch.Tensor:
        """Scores of the heads (kv_heads, n), drawn towards their mean."""
        # Not 0 times the mean: that is NaN where tokens must stay.
        return layer + self.common * layer.mean(dim=0) if self.common else layer

    def _lengths(self, own: Sequence[torch.Tensor], budgets: Sequence[int]) -> list[int]:
        """Composites each layer keeps: the best of all layers, within the bounds."""
        sizes = [layer.shape[1] for layer in own]
        total = min(sum(budgets), sum(sizes))
        low, high = self._bounds(sum(budgets) // len(budgets))
        floors = [min(size, low) for size in sizes]
        # The bounds are about the mean budget: lift the upper one where layers are too short
        # to take what is left.
        while sum(min(size, high) for size in sizes) < total:
            high += 1
        worth = [_composites(layer)[low:high] for layer in own]
        layers = torch.cat([torch.full((part.shape[0],), at) for at, part in enumerate(worth)])
        order = best_first(torch.cat(worth).cpu())[: total - sum(floors)]
        more = torch.bincount(layers[order], minlength=len(own)).tolist()
        return [floor + extra for floor, extra in zip(floors, more, strict=True)]

    def _bounds(self, mean: int) -> tuple[int, int]:
        """Fewest and most composites of a layer."""
        return max(1, int(self.least * mean)), max(1, mean, int(self.most * mean))


def _composites(own: torch.Tensor) -> torch.Tensor:
    """(n,): worth of the composites of a layer, the best first."""
    return rounded(own.sort(dim=-1, descending=True).values.mean(dim=0))
