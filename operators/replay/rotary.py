"""Rotary position embeddings: taking them off keys, and putting others on."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Rotary:
    """Rotary embedding of a model whose halves of a head rotate together (Llama's convention).

    Su et al., RoFormer, https://arxiv.org/abs/2104.09864.

    Attributes:
        frequencies: (rotated / 2,), float32: radians per position. Dimensions of a head past
            `rotated` carry no position.
    """

    frequencies: torch.Tensor

    def rotate(self, tensor: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
        """`tensor` (heads, n, head_dim) moved on by `by` (heads, n) or (n,) positions.

        Rotations add up: what stands at position p is moved to q by q - p. Computed in
        float32, given back in the tensor's own type.
        """
        angles = by[..., None].float() * self.frequencies
        cos, sin = angles.cos(), angles.sin()
        half = self.frequencies.shape[0]
        first, second, rest = tensor.float().split(
            [half, half, tensor.shape[-1] - 2 * half], dim=-1
        )
        turned = (first * cos - second * sin, second * cos + first * sin, rest)
        return torch.cat(turned, dim=-1).to(tensor.dtype)
