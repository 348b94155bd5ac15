"""The interface of mergers."""

from typing import ClassVar, Protocol

import torch


class Merger(Protocol):
    """What becomes of the tokens that are not kept. Implementations are frozen dataclasses."""

    name: ClassVar[str]
    version: ClassVar[int]

    def merge(
        self,
        keys: torch.Tensor,
        values: torch.Tensor,
        scores: torch.Tensor,
        kept: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of the kept tokens of a layer, each (kv_heads, k, head_dim).

        Args:
            keys: (kv_heads, n, head_dim) without rotary embedding.
            values: (kv_heads, n, head_dim).
            scores: (kv_heads, n).
            kept: (kv_heads, k), ascending.

        The result has no rotary embedding either.
        """
        ...
