"""SnapKV: what the last queries look at."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from operators.replay.layer_view import LayerView


@dataclass(frozen=True)
class SnapKv:
    """Mean attention of the block's last queries, pooled over neighbours.

    Li et al., SnapKV, https://arxiv.org/abs/2404.14469; window, kernel and max pooling as in
    its LongBench runs. There once at the end of the prompt, here after every block. Tokens of
    the window itself are always kept: the next block decides on them. Grouped query heads:
    mean over the group, after pooling. Deterministic. Cost: O(window n head_dim) a query head.

    Attributes:
        window: queries that vote, and their tokens.
        kernel: tokens that share the best vote among them; odd, 1: no pooling.
    """

    name: ClassVar[str] = "snapkv"
    version: ClassVar[int] = 1
    queries: ClassVar[Literal["block", "patch"]] = "block"

    window: int = 32
    kernel: int = 7

    def __post_init__(self) -> None:
        """Raises ValueError for a window below 1 or a kernel that is no odd number."""
        if self.window < 1 or self.kernel < 1 or self.kernel % 2 == 0:
            raise ValueError(f"window must be at least 1 and kernel odd: {self}")

    def score(self, view: LayerView) -> torch.Tensor:
        """(kv_heads, n): 0..1, inf in the window."""
        votes = view.attention(last=self.window)
        window = votes.shape[1]
        older = votes[:, :, :-window].mean(dim=1)
        if older.shape[1]:
            older = torch.nn.functional.max_pool1d(
                older, self.kernel, stride=1, padding=self.kernel // 2
            )
        scores = view.per_kv_head(older)
        return torch.nn.functional.pad(scores, (0, window), value=float("inf"))
