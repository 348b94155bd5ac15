"""All heads of a layer keep the same tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from operators.replay.selections.ranking import best, rounded


@dataclass(frozen=True)
class Shared:
    """The tokens with the best mean score over the heads of a layer.

    What is kept are whole tokens, which can be shown as text; a head loses what only it
    looks at. Deterministic; ties go to the earlier token. Cost: a sort per layer.
    """

    name: ClassVar[str] = "shared"
    version: ClassVar[int] = 1

    def choose(self, scores: Sequence[torch.Tensor], budgets: Sequence[int]) -> list[torch.Tensor]:
        """Per layer (kv_heads, k), ascending, all rows alike."""
        chosen: list[torch.Tensor] = []
        for layer, budget in zip(scores, budgets, strict=True):
            kept = best(rounded(layer.mean(dim=0)), budget)
            chosen.append(kept.expand(layer.shape[0], -1).contiguous())
        return chosen
