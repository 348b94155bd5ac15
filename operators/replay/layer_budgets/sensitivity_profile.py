"""How much each layer of a model suffers from a prefill in blocks: measured once per model."""

from collections.abc import Sequence
from pathlib import Path

import torch

from operators.replay.model import ReplayModel

_CALIBRATION = Path(__file__).with_name("calibration.txt")


def calibration_text() -> str:
    """About 1,500 words of made-up talk, for profiles that compare between runs."""
    return _CALIBRATION.read_text(encoding="utf-8")


def measure_similarities(
    model: ReplayModel, tokens: Sequence[int], block: int, sinks: int = 4
) -> tuple[float, ...]:
    """Mean cosine per layer between keys with all of the text before them and with a block.

    Kim et al., EpiCache, https://arxiv.org/abs/2509.17396. In the second run a token sees the
    first `sinks` tokens of the text and its own block, as far as it has come. Keys are
    compared without rotary embedding, in all blocks but the first, which is the same twice;
    rounded to five digits. Deterministic. Cost: the text is prefilled twice; its keys are held
    once.

    Args:
        model: whose layers are measured.
        tokens: of a text, in the model's own vocabulary.
        block: tokens that see each other, at most half of `tokens`: longer ones are cut.
        sinks: first tokens, which all blocks see.

    Raises:
        ValueError: fewer than 2 (sinks + 1) tokens.
    """
    if len(tokens) < 2 * (sinks + 1):
        raise ValueError(f"{len(tokens)} tokens are too few to measure a profile")
    source = model.tensor(tokens)
    size = max(sinks + 1, min(block, len(tokens) // 2))
    whole = _keys(model, source)
    sums = torch.zeros(model.layers, dtype=torch.float64)
    for start in range(size, len(tokens), size):
        part = source[start : start + size]
        alone = _keys(model, torch.cat([source[:sinks], part]))
        for layer in range(model.layers):
            full = whole[layer][:, start : start + size]
            cosines = torch.cosine_similarity(full, alone[layer][:, sinks:], dim=-1)
            sums[layer] += cosines.double().mean(dim=0).sum().cpu()
    return tuple(round(float(total), 5) for total in sums / (len(tokens) - size))


def _keys(model: ReplayModel, tokens: torch.Tensor) -> list[torch.Tensor]:
    """Per layer (kv_heads, n, head_dim), float32: keys of `tokens` without rotary embedding."""
    cache = model.cache(tokens.shape[0])
    model.forward(tokens, cache, start=0)
    back = -torch.arange(tokens.shape[0], device=model.device)
    return [model.rotary.rotate(cache.keys(layer).float(), back) for layer in range(model.layers)]
