"""What a layer shows of itself right after its attention, for scorers and layer budgets."""

from dataclasses import dataclass

import torch

from operators.replay.rotary import Rotary


@dataclass(frozen=True)
class LayerView:
    """One layer's cache and the queries that looked at it.

    All tensors are read-only views that hold only during the call.

    Attributes:
        layer: number of the layer.
        keys: (kv_heads, n, head_dim), with the rotary embedding of positions
            `offset` .. `offset` + n - 1.
        values: (kv_heads, n, head_dim).
        queries: (query_heads, m, head_dim), with the rotary embedding of `query_positions`.
        query_positions: (m,), int64. A query sees keys up to its own position. Past the last
            key for a patch prompt, whose own keys are not among `keys`.
        scaling: factor of the attention logits.
        rotary: the model's rotary embedding.
        offset: position of the first key; not 0 only in a layer that keeps fewer tokens than
            another one.
    """

    layer: int
    keys: torch.Tensor
    values: torch.Tensor
    queries: torch.Tensor
    query_positions: torch.Tensor
    scaling: float
    rotary: Rotary
    offset: int = 0

    def attention(self, last: int | None = None) -> torch.Tensor:
        """Attention of the last `last` queries (of all, if None) to the keys.

        Causal, softmax over `keys` alone: (query_heads, last, n), float32.
        """
        first = 0 if last is None else max(0, self.queries.shape[1] - last)
        queries = self.queries[:, first:].float()
        positions = self.query_positions[first:]
        groups = queries.shape[0] // self.keys.shape[0]
        keys = self.keys.float().repeat_interleave(groups, dim=0)
        logits = queries @ keys.transpose(1, 2) * self.scaling
        key_positions = torch.arange(keys.shape[1], device=keys.device) + self.offset
        ahead = key_positions[None, :] > positions[:, None]
        return logits.masked_fill(ahead, float("-inf")).softmax(-1)

    def per_kv_head(self, by_query_head: torch.Tensor, how: str = "mean") -> torch.Tensor:
        """(query_heads, ...) to (kv_heads, ...): mean or max over the heads of a group."""
        heads = self.keys.shape[0]
        grouped = by_query_head.unflatten(0, (heads, by_query_head.shape[0] // heads))
        return grouped.mean(1) if how == "mean" else grouped.amax(1)
