"""KeyDiff: keys unlike the others."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from operators.replay.layer_view import LayerView


@dataclass(frozen=True)
class KeyDiff:
    """Minus the cosine between a key and the mean direction of all cached keys.

    Park et al., KeyDiff, https://arxiv.org/abs/2504.15364. Keys as attention sees them, with
    their rotary embedding. Needs no queries, so it also works after kernels that hide the
    attention weights. Deterministic. Cost: O(n head_dim) a head.
    """

    name: ClassVar[str] = "keydiff"
    version: ClassVar[int] = 1
    queries: ClassVar[Literal["block", "patch"]] = "block"

    def score(self, view: LayerView) -> torch.Tensor:
        """(kv_heads, n), -1..1."""
        directions = torch.nn.functional.normalize(view.keys.float(), dim=-1)
        anchor = directions.mean(dim=1, keepdim=True)
        return -torch.nn.functional.cosine_similarity(directions, anchor, dim=-1)
