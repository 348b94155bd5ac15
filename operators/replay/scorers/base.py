"""The interface of scorers."""

from typing import ClassVar, Literal, Protocol

import torch

from operators.replay.layer_view import LayerView


class Scorer(Protocol):
    """How much each cached token is worth. Implementations are frozen dataclasses.

    Called after every block, in every layer, with all that is cached by then: what was kept
    of earlier blocks, and the block. Deterministic. Cost: none, beside the prefill.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    """Raised when scores change; part of the ids of caches."""
    queries: ClassVar[Literal["block", "patch"]]
    """Whose queries the view shows: of the block's own tokens, or of the patch prompt, which
    is then run after each block, without staying in the cache."""

    def score(self, view: LayerView) -> torch.Tensor:
        """(kv_heads, n), float32, higher is kept; inf for tokens that must be kept."""
        ...
