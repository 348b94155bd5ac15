"""The interface of layer budgets."""

from collections.abc import Sequence
from typing import ClassVar, Protocol

from operators.replay.layer_view import LayerView


class LayerBudget(Protocol):
    """How many tokens each layer may keep. Implementations are frozen dataclasses."""

    name: ClassVar[str]
    version: ClassVar[int]

    def observe(self, view: LayerView) -> float:
        """What decides this layer's share, measured after a block."""
        ...

    def allocate(self, budget: int, observed: Sequence[float]) -> list[int]:
        """Tokens per layer; their sum is `budget` x layers, each at least 1.

        Args:
            budget: tokens per layer on average.
            observed: `observe` of each layer, of the block just done.
        """
        ...
