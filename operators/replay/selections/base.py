"""The interface of selections."""

from collections.abc import Sequence
from typing import ClassVar, Protocol

import torch


class Selection(Protocol):
    """Which tokens each head of each layer keeps. Implementations are frozen dataclasses."""

    name: ClassVar[str]
    version: ClassVar[int]

    def choose(self, scores: Sequence[torch.Tensor], budgets: Sequence[int]) -> list[torch.Tensor]:
        """Per layer (kv_heads, k), int64, ascending: the kept tokens.

        Args:
            scores: per layer (kv_heads, n_layer); inf marks what must be kept.
            budgets: tokens each layer may keep (a layer with fewer keeps all); a selection
                that ranks across layers keeps their sum instead.

        Ties go to the earlier token (and lower layer).
        """
        ...
