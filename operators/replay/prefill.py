"""An episode's tokens into a compressed cache, block by block, in bounded memory.

The loop of EpiCache (https://arxiv.org/abs/2509.17396): prefill a block, score all that is cached
by then, keep the budget, go on. Kept keys are moved to contiguous positions after every block, so
no position exceeds budget + block, however long the episode: texts longer than the model's window
work.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch

from operators.replay.attention import Observer
from operators.replay.cache import BlockCache
from operators.replay.compressed import CompressedKv
from operators.replay.layer_view import LayerView
from operators.replay.method import Method
from operators.replay.model import ReplayModel
from operators.replay.rotary import Rotary


@dataclass(frozen=True)
class Prefilled:
    """A compressed cache, and what making it took.

    Attributes:
        kv: the cache.
        peak_tokens: most tokens that any layer held: at most budget + block where all layers
            have the same budget.
        peak_bytes: most bytes that keys and values took in all layers together, at most those of
            budget + block tokens in each. One layer's copy while it is cut down comes on top.
    """

    kv: CompressedKv
    peak_tokens: int
    peak_bytes: int


@dataclass
class _Scored:
    """What a block's forward pass showed, by layer.

    Attributes:
        scores: per layer (kv_heads, n), float32.
        observed: per layer, what decides its budget.
    """

    scores: list[torch.Tensor] = field(default_factory=list)
    observed: list[float] = field(default_factory=list)

    def observer(self, method: Method, patch: int) -> Observer:
        """Fills this in; the last `patch` queries are the patch prompt's."""

        def observe(view: LayerView) -> None:
            shown = _of_patch(view, patch) if patch else view
            self.scores.append(method.scorer.score(shown).float())
            self.observed.append(method.layers.observe(shown))

        return observe


def compress(
    model: ReplayModel, tokens: Sequence[int], patch: Sequence[int], budget: int, method: Method
) -> CompressedKv:
    """The cache of `prefill`."""
    return prefill(model, tokens, patch, budget, method).kv


def prefill(
    model: ReplayModel, tokens: Sequence[int], patch: Sequence[int], budget: int, method: Method
) -> Prefilled:
    """Run `tokens` through `model` and keep `budget` of them per layer and head.

    With a budget of all tokens nothing is evicted: the cache is that of one prefill, up to
    rounding. Blocks of one episode are about equally long, so that no scorer has to judge by a
    last block of a few tokens. Deterministic. A key that stays is turned once per block: exact to
    1e-6 in float32 after 32 blocks, to 2% in bfloat16.

    Args:
        model: the model.
        tokens: of the episode, at least 1.
        patch: of the patch prompt. Used by scorers that look with its queries only, up to half a
            block of it; without one they look with the block's own.
        budget: tokens per layer and head, on average over layers; at least 1.
        method: what is kept.

    Raises:
        ValueError: no tokens, or no budget.
    """
    if not tokens or budget < 1:
        raise ValueError(f"cannot compress {len(tokens)} tokens to {budget}")
    asking = model.tensor(patch[: method.block // 2] if method.scorer.queries == "patch" else ())
    source = model.tensor(tokens)
    cache = model.cache(min(len(tokens) + len(asking), budget + method.block))
    done = 0
    while done < len(tokens):
        left = len(tokens) - done
        take = _share(left, method.block)
        if _exceeds(cache, take, budget):
            take = _share(left, method.block - len(asking))
        block = source[done : done + take]
        if _exceeds(cache, take, budget):
            scored = _run(model, torch.cat([block, asking]), len(asking), cache, method)
            _evict(model, cache, scored, budget, method)
        else:
            model.forward(block, cache, start=cache.length)
        done += take
    return Prefilled(cache.compressed(), cache.peak_tokens, cache.peak_bytes)


def _share(left: int, limit: int) -> int:
    """Size of the next block if `left` tokens come in as few and even blocks as `limit` allows."""
    return math.ceil(left / math.ceil(left / limit))


def _exceeds(cache: BlockCache, coming: int, budget: int) -> bool:
    """Whether `coming` more tokens in each layer are more than may stay."""
    return sum(cache.lengths) + coming * cache.layers > budget * cache.layers


def _run(
    model: ReplayModel, block: torch.Tensor, patch: int, cache: BlockCache, method: Method
) -> _Scored:
    """Prefill `block`, whose last `patch` tokens only look; theirs is not in the cache after."""
    scored = _Scored()
    model.forward(block, cache, start=cache.length, observe=scored.observer(method, patch))
    cache.drop(patch)
    return scored


def _of_patch(view: LayerView, patch: int) -> LayerView:
    """The view without the patch prompt's keys, and with its queries only."""
    return replace(
        view,
        keys=view.keys[:, :-patch],
        values=view.values[:, :-patch],
        queries=view.queries[:, -patch:],
        query_positions=view.query_positions[-patch:],
    )


def _evict(
    model: ReplayModel, cache: BlockCache, scored: _Scored, budget: int, method: Method
) -> None:
    """Cut every layer down to its budget, and close the gaps between positions.

    Raises:
        ValueError: the method keeps more than the budget.
    """
    for layer, scores in enumerate(scored.scores):
        scores.masked_fill_(cache.positions(layer) < method.sinks, math.inf)
    budgets = method.layers.allocate(budget, scored.observed)
    kept = method.selection.choose(scored.scores, budgets)
    total = sum(indices.shape[1] for indices in kept)
    if total > budget * cache.layers:
        raise ValueError(f"{method} keeps {total} tokens in {cache.layers} layers: not {budget}")
    before, after = cache.length, max(indices.shape[1] for indices in kept)
    for layer, indices in enumerate(kept):
        old = torch.arange(before - cache.lengths[layer], before, device=indices.device)
        new = torch.arange(after - indices.shape[1], after, device=indices.device)
        moves = _Moves(model.rotary, old, new if method.rerotate else old[indices])
        keys, values = _contents(cache, layer, indices, scored.scores[layer], moves, method)
        cache.keep(layer, indices, keys, values, room=method.block)


@dataclass(frozen=True)
class _Moves:
    """Where the tokens of a layer stand, and where those that are kept go.

    Attributes:
        rotary: of the model.
        old: (n,): positions of all tokens.
        new: (k,) or (kv_heads, k): positions of the kept ones.
    """

    rotary: Rotary
    old: torch.Tensor
    new: torch.Tensor


def _contents(
    cache: BlockCache,
    layer: int,
    kept: torch.Tensor,
    scores: torch.Tensor,
    moves: _Moves,
    method: Method,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Keys, at their new positions, and values of the kept tokens: (kv_heads, k, head_dim)."""
    keys, values, rotary = cache.keys(layer), cache.values(layer), moves.rotary
    if method.merger is not None:
        bare = rotary.rotate(keys, -moves.old)
        keys, values = method.merger.merge(bare, values, scores, kept)
        return rotary.rotate(keys, moves.new), values
    wide = kept[..., None].expand(-1, -1, keys.shape[2])
    keys, values = keys.gather(1, wide), values.gather(1, wide)
    return rotary.rotate(keys, moves.new - moves.old[kept]), values
