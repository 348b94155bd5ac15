"""A compressed KV cache: what is left of an episode, ready to be attended to."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class CompressedKv:
    """Kept keys and values of every layer.

    Keys carry the rotary embedding of the positions `length - n .. length - 1` of their layer
    (n: kept tokens there), so the next token is at position `length` in all layers. Each head
    may have kept other tokens; within a layer all heads keep equally many.

    Attributes:
        keys: per layer (kv_heads, n, head_dim).
        values: per layer (kv_heads, n, head_dim).
        positions: per layer (kv_heads, n), int32, ascending: number of the token in the episode.
        source_tokens: tokens of the episode before compression.
    """

    keys: tuple[torch.Tensor, ...]
    values: tuple[torch.Tensor, ...]
    positions: tuple[torch.Tensor, ...]
    source_tokens: int

    @property
    def length(self) -> int:
        """Kept tokens of the fullest layer: the position of the next token."""
        return max(key.shape[1] for key in self.keys)

    @property
    def rectangular(self) -> bool:
        """Whether all layers keep equally many tokens, which paged engines need."""
        return len({key.shape[1] for key in self.keys}) == 1

    @property
    def bytes(self) -> int:
        """Size of keys and values."""
        both = (*self.keys, *self.values)
        return sum(tensor.numel() * tensor.element_size() for tensor in both)
