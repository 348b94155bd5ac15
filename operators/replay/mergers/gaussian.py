"""KVMerger: dropped tokens fold into kept neighbours like them."""

from dataclasses import dataclass
from typing import ClassVar

import torch


@dataclass(frozen=True)
class Gaussian:
    """Kept tokens become weighted means of themselves and the dropped ones about them.

    Wang et al., KVMerger, https://arxiv.org/abs/2407.08454. Neighbours whose keys have a
    cosine of at least `threshold` form runs. A dropped token goes to the nearest kept one of
    its run, of two to the earlier, and is lost where its run keeps none. Weights are
    exp(-d^2 / 2 sigma^2) of the distance d to the kept key, over their sum; sigma is the mean
    d of the set over the square root of 2. Values have their keys' weights.

    Departures: the paper's runs decide how many tokens stay, and one stays of each; here the
    budget does, so a run may keep several. Its keys carry positions, these do not: a mean of
    keys at different rotations is a key at none. Tokens that must stay (score inf) take
    nothing in: a sink is worth nothing but its attention.

    Sums in float64, so the order of adding shows in no float32. Cost: O(n head_dim) a head.

    Attributes:
        threshold: least cosine between neighbours of a run.
    """

    name: ClassVar[str] = "gaussian"
    version: ClassVar[int] = 1

    threshold: float = 0.75

    def merge(
        self,
        keys: torch.Tensor,
        values: torch.Tensor,
        scores: torch.Tensor,
        kept: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(kv_heads, k, head_dim) each."""
        targets = self._targets(keys, scores, kept)
        weights = _weights(keys.double(), targets)
        merged: list[torch.Tensor] = []
        for tensor in (keys, values):
            mean = _sums(tensor.double() * weights[..., None], targets)
            index = kept[..., None].expand(-1, -1, tensor.shape[-1])
            merged.append(mean.gather(1, index).to(tensor.dtype))
        return merged[0], merged[1]

    def _targets(
        self, keys: torch.Tensor, scores: torch.Tensor, kept: torch.Tensor
    ) -> torch.Tensor:
        """(kv_heads, n): the token that each one becomes part of; n: of none."""
        heads, tokens, _ = keys.shape
        places = torch.arange(tokens, device=keys.device).expand(heads, tokens)
        stays = torch.zeros_like(places, dtype=torch.bool).scatter(1, kept, True)
        runs = self._runs(keys)
        pivots = stays & ~scores.isinf()
        before = torch.where(pivots, places, -1).cummax(dim=1).values
        after = torch.where(pivots, places, tokens).flip(1).cummin(dim=1).values.flip(1)
        far = 2 * tokens
        back = torch.where(_same(runs, before), places - before, far)
        ahead = torch.where(_same(runs, after), after - places, far)
        nearest = torch.where(back <= ahead, before, after)
        nearest = torch.where(torch.minimum(back, ahead) < far, nearest, tokens)
        return torch.where(stays, places, nearest)

    def _runs(self, keys: torch.Tensor) -> torch.Tensor:
        """(kv_heads, n): number of the run of each token."""
        directions = torch.nn.functional.normalize(keys.double(), dim=-1)
        cosines = (directions[:, 1:] * directions[:, :-1]).sum(dim=-1)
        apart = cosines.round(decimals=5) < self.threshold
        return torch.nn.functional.pad(apart.long().cumsum(dim=1), (1, 0))


def _same(runs: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Whether the token `other` exists and is of the same run."""
    last = runs.shape[1] - 1
    there = (other >= 0) & (other <= last)
    return there & (runs.gather(1, other.clamp(0, last)) == runs)


def _weights(keys: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """(kv_heads, n): share of each token in what it becomes part of; 0 for lost ones."""
    heads, tokens, size = keys.shape
    places = torch.arange(tokens, device=keys.device)
    index = targets.clamp(max=tokens - 1)
    pivots = keys.gather(1, index[..., None].expand(heads, tokens, size))
    distances = (keys - pivots).norm(dim=-1)
    others = ((targets != places) & (targets < tokens)).double()
    counts = _sums(others, targets)
    mean = _sums(distances * others, targets) / counts.clamp(min=1)
    # 2 sigma^2 is the square of the mean distance; keys that coincide weigh alike.
    width = mean.gather(1, index).clamp(min=1e-12)
    kernel = torch.exp(-((distances / width) ** 2))
    kernel = torch.where(targets < tokens, kernel, 0.0)
    return kernel / _sums(kernel, targets).gather(1, index).clamp(min=1e-300)


def _sums(tensor: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """`tensor` (kv_heads, n, ...) added up per target, at the target's place."""
    heads, tokens = targets.shape
    index = targets.reshape(heads, tokens, *([1] * (tensor.dim() - 2))).expand_as(tensor)
    room = tensor.new_zeros(heads, tokens + 1, *tensor.shape[2:])
    return room.scatter_add(1, index, tensor)[:, :tokens]
