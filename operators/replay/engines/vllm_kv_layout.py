"""Where a cache goes in vLLM's paged memory: which layers, heads and slots."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch

from operators.replay.compressed import CompressedKv


class PagedLayer(Protocol):
    """What is used of an attention layer of vLLM.

    Attributes:
        impl: the backend, which knows how keys and values are packed.
        kv_cache: the paged memory, packed as the backend likes it.
        num_kv_heads: heads on this worker: a part of the model's under tensor parallelism.
        head_size: dimensions of a head.
    """

    impl: Any
    kv_cache: torch.Tensor
    num_kv_heads: int
    head_size: int


def paged_layers(named: Mapping[str, Any]) -> list[PagedLayer]:
    """The attention layers among vLLM's layers by name, in the model's order."""
    numbered = {
        _number(name): layer
        for name, layer in named.items()
        if hasattr(layer, "kv_cache") and hasattr(layer, "impl")
    }
    return [numbered[number] for number in sorted(numbered)]


def slots(blocks: Sequence[int], block_size: int, first: int, last: int) -> torch.Tensor:
    """Slots of the tokens `first` .. `last` - 1 of a request that holds `blocks`.

    (last - first,), int64. Backends that cut a block into smaller ones number slots alike.
    """
    tokens = torch.arange(first, last)
    return torch.tensor(blocks)[tokens // block_size] * block_size + tokens % block_size


def blocks_of(blocks: Sequence[int], block_size: int, first: int, last: int) -> set[int]:
    """The blocks that hold the tokens `first` .. `last` - 1."""
    return set(blocks[first // block_size : -(-last // block_size)])


def write(
    kv: CompressedKv, layers: Sequence[PagedLayer], where: torch.Tensor, part: tuple[int, int]
) -> None:
    """Write the last tokens of `kv`, as many as there are slots, into paged memory.

    Args:
        kv: rectangular, of the whole model.
        layers: of this worker; all layers of the model.
        where: (n,), int64: slots of the last n tokens.
        part: this worker's number, and how many share the heads.

    Raises:
        ValueError: the cache is not of this model's shape, or not rectangular.
    """
    if len(layers) != len(kv.keys):
        raise ValueError(f"a cache of {len(kv.keys)} layers, for a model of {len(layers)}")
    if not kv.rectangular:
        raise ValueError("a cache whose layers keep unequally many tokens")
    for layer, keys, values in zip(layers, kv.keys, kv.values, strict=True):
        both = [_tokens_first(t, layer, len(where), part) for t in (keys, values)]
        layer.impl.do_kv_cache_update(layer, *both, layer.kv_cache, where.to(layer.kv_cache.device))


def _tokens_first(
    tensor: torch.Tensor, layer: PagedLayer, tokens: int, part: tuple[int, int]
) -> torch.Tensor:
    """(tokens, heads of this worker, head_dim), where and as the layer wants it."""
    heads, length, size = tensor.shape
    rank, workers = part
    fewer = heads < workers and layer.num_kv_heads == 1  # several workers have the same head
    if not (fewer or heads == layer.num_kv_heads * workers) or size != layer.head_size:
        raise ValueError(f"a cache of {heads} heads of {size} dimensions does not fit the model")
    first = rank * heads // workers
    mine = tensor[first : first + layer.num_kv_heads, length - tokens :]
    return mine.transpose(0, 1).to(layer.kv_cache.device, layer.kv_cache.dtype).contiguous()


def _number(name: str) -> int:
    """`model.layers.12.self_attn.attn` is layer 12."""
    return next(int(part) for part in name.split(".") if part.isdigit())
