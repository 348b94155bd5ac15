"""Every layer keeps equally many tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from operators.replay.layer_view import LayerView


@dataclass(frozen=True)
class Uniform:
    """The same budget everywhere: caches are rectangular, as paged engines need them."""

    name: ClassVar[str] = "uniform"
    version: ClassVar[int] = 1

    def observe(self, view: LayerView) -> float:  # noqa: ARG002
        """1, whatever the layer shows."""
        return 1.0

    def allocate(self, budget: int, observed: Sequence[float]) -> list[int]:
        """`budget` for each layer."""
        return [max(1, budget) for _ in observed]
