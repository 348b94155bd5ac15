"""ExpectedAttention: what queries yet to come are likely to look at."""

from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch

from operators.replay.layer_view import LayerView
from operators.replay.rotary import Rotary


class _Queries(NamedTuple):
    """A Gaussian per query head: mean (heads, d) and covariance (heads, d, d)."""

    mean: torch.Tensor
    covariance: torch.Tensor


@dataclass(frozen=True)
class ExpectedAttention:
    """Expected attention of the next queries, times the length of the value.

    Devoto et al., Expected Attention, https://arxiv.org/abs/2510.00636. Queries without
    rotary embedding are taken for a Gaussian N(m, S); R is the mean rotation of the next
    positions; a key k then has the expected weight exp(s k.Rm + s^2/2 k.(R S R')k), s being
    the attention's scaling, normalised over the keys. Mean over grouped query heads.

    Statistics are of the latest block's queries; the paper sees the whole prompt, which a
    prefill in blocks never does. Values count by their own length, not that of their
    projection. Float32, deterministic. Cost: O((m + n) head_dim^2) a query head.

    Attributes:
        future: positions after the last query that the mean rotation spans.
        sinks: first tokens: always kept, not in the normalisation; as queries they are
            outliers and not in the statistics.
        covariance: False leaves out the second-order term.
        epsilon: added to the weight before the value's length multiplies it.
    """

    name: ClassVar[str] = "expected_attention"
    version: ClassVar[int] = 1
    queries: ClassVar[Literal["block", "patch"]] = "block"

    future: int = 512
    sinks: int = 4
    covariance: bool = True
    epsilon: float = 0.0

    def score(self, view: LayerView) -> torch.Tensor:
        """(kv_heads, n): at least 0, inf for the sinks."""
        sinks = min(self.sinks, view.keys.shape[1])
        values = view.values[:, sinks:].float()
        weights = view.per_kv_head(self._logits(view, sinks).softmax(dim=-1))
        scores = (weights + self.epsilon) * values.norm(dim=-1)
        return torch.nn.functional.pad(scores, (sinks, 0), value=float("inf"))

    def _logits(self, view: LayerView, sinks: int) -> torch.Tensor:
        """Logarithm of the expected exponential of the attention logits, (query_heads, n)."""
        queries = _ahead(_statistics(view, self.sinks), view, self.future)
        groups = view.queries.shape[0] // view.keys.shape[0]
        keys = view.keys[:, sinks:].float().repeat_interleave(groups, dim=0)
        logits = (keys @ queries.mean[..., None])[..., 0] * view.scaling
        if self.covariance:
            spread = ((keys @ queries.covariance) * keys).sum(dim=-1)
            logits = logits + spread * view.scaling**2 / 2
        return logits


def _statistics(view: LayerView, sinks: int) -> _Queries:
    """Of the queries without rotary embedding; of sinks too where there are no others."""
    queries = view.rotary.rotate(view.queries.float(), -view.query_positions)
    usual = queries[:, view.query_positions >= sinks]
    queries = usual if usual.shape[1] else queries
    mean = queries.mean(dim=1)
    centred = queries - mean[:, None]
    return _Queries(mean, centred.transpose(1, 2) @ centred / queries.shape[1])


def _ahead(queries: _Queries, view: LayerView, future: int) -> _Queries:
    """The same seen from the next `future` positions, on average."""
    start = int(view.query_positions[-1]) + 1
    positions = torch.arange(start, start + future, device=view.keys.device)
    turn = _mean_rotation(view.rotary, positions, view.keys.shape[-1])
    return _Queries(queries.mean @ turn.T, turn @ queries.covariance @ turn.T)


def _mean_rotation(rotary: Rotary, positions: torch.Tensor, size: int) -> torch.Tensor:
    """(size, size), float32: mean of the matrices that rotate to each of `positions`."""
    angles = positions[:, None].float() * rotary.frequencies
    cos, sin = angles.cos().mean(dim=0).diag(), angles.sin().mean(dim=0).diag()
    half = cos.shape[0]
    turn = torch.eye(size, device=positions.device)
    turn[:half, :half], turn[:half, half : 2 * half] = cos, -sin
    turn[half : 2 * half, :half], turn[half : 2 * half, half : 2 * half] = sin, cos
    return turn
