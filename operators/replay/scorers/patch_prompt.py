"""EpiCache: what a prompt on the episode's topic looks at."""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch

from operators.replay.layer_view import LayerView

_QUERIES_AT_ONCE = 64
"""Bounds the attention matrix; a maximum over parts is the same to the bit."""


@dataclass(frozen=True)
class PatchPrompt:
    """The highest attention that a token gets from any token of the patch prompt.

    Kim et al., EpiCache, https://arxiv.org/abs/2509.17396: the patch prompt is an instruction
    and the windows nearest to the episode's centre, run after each block and dropped again.
    Softmax over the cached keys alone: patch tokens do not compete, which the paper's code
    lets them. Deterministic. Cost: O(patch n head_dim) a query head.

    Attributes:
        group: over the query heads that share a key. EpiCache takes the maximum; "mean" gives
            the scores of KVCompose, https://arxiv.org/abs/2509.05165.
    """

    name: ClassVar[str] = "patch_prompt"
    version: ClassVar[int] = 1
    queries: ClassVar[Literal["block", "patch"]] = "patch"

    group: Literal["max", "mean"] = "max"

    def score(self, view: LayerView) -> torch.Tensor:
        """(kv_heads, n), 0..1."""
        best = torch.zeros(view.queries.shape[0], view.keys.shape[1], device=view.keys.device)
        for start in range(0, view.queries.shape[1], _QUERIES_AT_ONCE):
            part = slice(start, start + _QUERIES_AT_ONCE)
            some = replace(
                view, queries=view.queries[:, part], query_positions=view.query_positions[part]
            )
            best = torch.maximum(best, some.attention().amax(dim=1))
        return view.per_kv_head(best, self.group)
