"""One process of the fidelity benchmark: a model, and the histories it is given."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer

from benchmarks.replay.histories import History
from benchmarks.replay.probes import Probe, history_tokens, probes
from benchmarks.replay.straying import Straying, predictions, straying
from benchmarks.replay.variants import Variant
from operators.replay.compressed import CompressedKv
from operators.replay.episodes.text import EpisodeTokens
from operators.replay.method_parts import method_of
from operators.replay.model import ReplayModel
from operators.replay.prefill import compress
from operators.replay.spec import ReplaySpec
from operators.replay.store import load_kv, save_kv


@dataclass(frozen=True)
class _Reference:
    """A history, what is asked of it, and what the full cache answers."""

    tokens: EpisodeTokens
    probes: tuple[Probe, ...]
    expected: list[torch.Tensor]


def start(name: str) -> None:
    """Load the model; one thread, so that processes do not wait for each other."""
    torch.set_num_threads(1)
    _model(name)


def tokenizer(name: str) -> Any:
    """Of the model in that folder."""
    return AutoTokenizer.from_pretrained(name)


def measure(name: str, history: History, variants: Sequence[Variant]) -> list[Straying]:
    """How far each variant strays on `history`, in order."""
    model = _model(name)
    reference = _reference(name, history)
    return [_measured(model, reference, variant) for variant in variants]


def full_cache(model: ReplayModel, tokens: EpisodeTokens) -> CompressedKv:
    """The cache of one prefill of everything at once."""
    everything = len(tokens.prefix)
    method = replace(method_of(ReplaySpec(), model), block=max(16, everything))
    return compress(model, tokens.prefix, (), everything, method)


@cache
def _model(name: str) -> ReplayModel:
    return ReplayModel.load(name)


@lru_cache(maxsize=4)
def _reference(name: str, history: History) -> _Reference:
    model = _model(name)
    tokens = history_tokens(history, model)
    full = full_cache(model, tokens)
    asked = probes(history, model, full)
    return _Reference(tokens, asked, predictions(model, full, asked))


def _measured(model: ReplayModel, reference: _Reference, variant: Variant) -> Straying:
    tokens, spec = reference.tokens, variant.spec
    method = replace(method_of(spec, model), rerotate=variant.rerotate)
    began = time.perf_counter()
    kv = compress(model, tokens.prefix, tokens.patch, spec.budget(len(tokens.prefix)), method)
    seconds = time.perf_counter() - began
    found = predictions(model, _stored(kv, spec), reference.probes)
    out = straying(reference.probes, reference.expected, found)
    kept = sum(key.shape[1] for key in kv.keys) / len(kv.keys)
    return replace(out, seconds=seconds, kept=kept, bytes=kv.bytes)


def _stored(kv: CompressedKv, spec: ReplaySpec) -> CompressedKv:
    """As it comes back from the store."""
    if spec.precision == "float32":
        return kv
    with tempfile.TemporaryDirectory(prefix="memoryflow-bench-") as folder:
        file = save_kv(Path(folder), "kv", kv, spec.precision)
        return load_kv(file.path, file.checksum, kv.keys[0].dtype)
