"""StreamingLLM: the first tokens and the latest ones."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from operators.replay.layer_view import LayerView


@dataclass(frozen=True)
class Streaming:
    """Later is better; with the sinks, which are kept anyway, a sliding window.

    The baseline that looks at nothing: Xiao et al., StreamingLLM,
    https://arxiv.org/abs/2309.17453. Exact and deterministic. Cost: O(n).
    """

    name: ClassVar[str] = "streaming"
    version: ClassVar[int] = 1
    queries: ClassVar[Literal["block", "patch"]] = "block"

    def score(self, view: LayerView) -> torch.Tensor:
        """(kv_heads, n): the number of the token."""
        heads, tokens, _ = view.keys.shape
        places = torch.arange(tokens, dtype=torch.float32, device=view.keys.device)
        return places.repeat(heads, 1)
