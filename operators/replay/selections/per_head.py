"""Every head keeps its own best tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from operators.replay.selections.ranking import best, rounded


@dataclass(frozen=True)
class PerHead:
    """The best tokens of each key-value head; layers keep what their budget says.

    Heads of a layer keep equally many, so a layer stays one tensor. Deterministic; ties go to
    the earlier token. Cost: a sort per layer.
    """

    name: ClassVar[str] = "per_head"
    version: ClassVar[int] = 1

    def choose(self, scores: Sequence[torch.Tensor], budgets: Sequence[int]) -> list[torch.Tensor]:
        """Per layer (kv_heads, k), ascending."""
        return [best(rounded(layer), budget) for layer, budget in zip(scores, budgets, strict=True)]
