from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from operators.replay.compressed import CompressedKv
from operators.replay.engines.vllm_kv_layout import blocks_of, paged_layers, slots, write


class Layer:
    """An attention layer whose memory is (slots, heads, head_dim), keys and values apart."""

    def __init__(self, heads: int, size: int, room: int) -> None:
        self.num_kv_heads, self.head_size = heads, size
        self.kv_cache = torch.zeros(2, room, heads, size)
        self.impl = self

    def do_kv_cache_update(
        self, layer: Any, key: torch.Tensor, value: torch.Tensor, memory: Any, where: torch.Tensor
    ) -> None:
        assert layer is self
        assert memory is self.kv_cache
        assert key.is_contiguous()
        assert value.is_contiguous()
        memory[0, where], memory[1, where] = key, value


def cache(layers: int = 2, heads: int = 4, length: int = 7, size: int = 3) -> CompressedKv:
    def made(start: int) -> tuple[torch.Tensor, ...]:
        shape = (heads, length, size)
        return tuple(torch.randn(shape, generator=seeded(start + n)) for n in range(layers))

    positions = tuple(torch.arange(length).repeat(heads, 1).int() for _ in range(layers))
    return CompressedKv(made(0), made(100), positions, length)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(
    blocks=st.lists(st.integers(0, 99), min_size=1, max_size=6, unique=True),
    size=st.sampled_from([1, 4, 32]),
    data=st.data(),
)
def test_slots_are_those_of_the_blocks_in_order(
    blocks: list[int], size: int, data: st.DataObject
) -> None:
    last = data.draw(st.integers(1, len(blocks) * size))
    first = data.draw(st.integers(0, last - 1))
    every = [block * size + offset for block in blocks for offset in range(size)]
    assert slots(blocks, size, first, last).tolist() == every[first:last]
    holding = {slot // size for slot in every[first:last]}
    assert blocks_of(blocks, size, first, last) == holding


def test_layers_come_in_the_order_of_their_numbers() -> None:
    layers = {f"model.layers.{n}.self_attn.attn": Layer(1, 2, 1) for n in (10, 9, 2)}
    others = {"model.layers.0.mlp.experts": SimpleNamespace(), "model.embed": object()}
    found = paged_layers(layers | others)
    assert found == [layers[f"model.layers.{n}.self_attn.attn"] for n in (2, 9, 10)]


def test_the_last_tokens_are_written_where_the_slots_are() -> None:
    kv, layers = cache(), [Layer(4, 3, 32) for _ in range(2)]
    where = slots([3, 1], 4, 2, 7)
    write(kv, layers, where, (0, 1))
    for layer, keys, values in zip(layers, kv.keys, kv.values, strict=True):
        assert torch.equal(layer.kv_cache[0, where], keys[:, 2:].transpose(0, 1))
        assert torch.equal(layer.kv_cache[1, where], values[:, 2:].transpose(0, 1))
        untouched = [slot for slot in range(32) if slot not in where.tolist()]
        assert not layer.kv_cache[:, untouched].any()


@pytest.mark.parametrize(
    ("workers", "local", "first"), [(2, 2, (0, 2)), (4, 1, (0, 1, 2, 3)), (8, 1, (0, 0, 1, 1))]
)
def test_workers_that_share_the_heads_take_their_own(
    workers: int, local: int, first: tuple[int, ...]
) -> None:
    kv = cache()
    for rank, head in enumerate(first):
        layers = [Layer(local, 3, 16) for _ in range(2)]
        write(kv, layers, torch.arange(7), (rank, workers))
        expected = kv.keys[1][head : head + local].transpose(0, 1)
        assert torch.equal(layers[1].kv_cache[0, :7], expected)


@pytest.mark.parametrize(
    "kv", [cache(layers=1), cache(heads=2), cache(size=5)], ids=["layers", "heads", "dimensions"]
)
def test_caches_of_other_models_are_refused(kv: CompressedKv) -> None:
    layers = [Layer(4, 3, 16) for _ in range(2)]
    with pytest.raises(ValueError, match="model"):
        write(kv, layers, torch.arange(7), (0, 1))
    assert not any(layer.kv_cache.any() for layer in layers)


def test_layers_of_different_lengths_are_refused() -> None:
    kv = cache()
    ragged = CompressedKv((kv.keys[0], kv.keys[1][:, 1:]), kv.values, kv.positions, 7)
    with pytest.raises(ValueError, match="unequally"):
        write(ragged, [Layer(4, 3, 16) for _ in range(2)], torch.arange(7), (0, 1))
