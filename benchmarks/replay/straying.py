"""How far a compressed cache strays from the full one, probe by probe."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from benchmarks.replay.probes import Kind, Probe
from operators.replay.compressed import CompressedKv
from operators.replay.engines.transformers_engine import continuation_logits
from operators.replay.model import ReplayModel


@dataclass
class Straying:
    """Measurements of one method over any number of histories.

    Attributes:
        divergence: by kind of probe, KL(full || compressed) of every predicted token, in nats.
        agrees: whether both caches make the same token likeliest, for every predicted token
            except those of needles.
        picked: of each needle, whether its word is likelier than every other needle's.
        exact: of each needle, whether its word is what greedy decoding gives.
        log_probability: of each needle's word, in nats.
        seconds: spent on making the caches.
        kept: tokens per layer and head of the caches, on average over layers.
        bytes: of keys and values, in the arithmetic's own type.
    """

    divergence: dict[Kind, list[float]] = field(default_factory=dict)
    agrees: list[bool] = field(default_factory=list)
    picked: list[bool] = field(default_factory=list)
    exact: list[bool] = field(default_factory=list)
    log_probability: list[float] = field(default_factory=list)
    seconds: float = 0.0
    kept: float = 0.0
    bytes: int = 0

    def add(self, other: "Straying") -> None:
        """Take another history's measurements in."""
        for kind, values in other.divergence.items():
            self.divergence.setdefault(kind, []).extend(values)
        self.agrees += other.agrees
        self.picked += other.picked
        self.exact += other.exact
        self.log_probability += other.log_probability
        self.seconds += other.seconds
        self.kept += other.kept
        self.bytes += other.bytes


def predictions(
    model: ReplayModel, kv: CompressedKv, probes: Sequence[Probe]
) -> list[torch.Tensor]:
    """Log-probabilities of every token at every scored place: per probe (scored, vocabulary)."""
    return [
        continuation_logits(model, kv, probe.tokens[:-1])[-probe.scored :].log_softmax(-1)
        for probe in probes
    ]


def straying(
    probes: Sequence[Probe], full: Sequence[torch.Tensor], found: Sequence[torch.Tensor]
) -> Straying:
    """Compare `found`, of a compressed cache, with `full`; both from `predictions`."""
    out = Straying()
    for probe, expected, got in zip(probes, full, found, strict=True):
        divergence = (expected.exp() * (expected - got)).sum(-1)
        # Rounding can make it less than nothing.
        out.divergence.setdefault(probe.kind, []).extend(divergence.clamp(min=0).tolist())
        likeliest = got.argmax(-1)
        if probe.kind == "needle":
            word = torch.tensor(probe.tokens[-probe.scored :], device=got.device)
            out.picked.append(int(got[0, list(probe.rivals)].argmax()) == 0)
            out.exact.append(bool((likeliest == word).all()))
            out.log_probability.append(float(got.gather(1, word[:, None]).sum()))
        else:
            out.agrees += (likeliest == expected.argmax(-1)).tolist()
    return out
