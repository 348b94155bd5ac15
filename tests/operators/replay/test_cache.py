"""The cache does what a list of tokens per head would do, in buffers that do not grow."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from operators.replay.cache import BlockCache

_LAYERS, _HEADS, _WIDTH = 2, 2, 3


def _cache(capacity: int = 8) -> BlockCache:
    return BlockCache(layers=_LAYERS, kv_heads=_HEADS, head_dim=_WIDTH, capacity=capacity)


def _tokens(first: int, count: int) -> torch.Tensor:
    """Token t of head h is (t + h / 10) in all dimensions."""
    numbers = torch.arange(first, first + count).float()
    heads = torch.arange(_HEADS).float() / 10
    return (numbers[None, :] + heads[:, None])[..., None].expand(-1, -1, _WIDTH).clone()


def _append(cache: BlockCache, first: int, count: int) -> None:
    for layer in range(_LAYERS):
        cache.append(layer, _tokens(first, count), -_tokens(first, count))


def _keep(cache: BlockCache, layer: int, kept: list[list[int]], room: int) -> None:
    indices = torch.tensor(kept)
    wide = indices[..., None].expand(-1, -1, _WIDTH)
    keys, values = cache.keys(layer).gather(1, wide), cache.values(layer).gather(1, wide)
    cache.keep(layer, indices, keys, values, room)


@given(st.data())
def test_it_is_a_list_of_tokens_per_head(data: st.DataObject) -> None:
    cache, seen = _cache(), 0
    expected = [[list[int]() for _ in range(_HEADS)] for _ in range(_LAYERS)]
    for _ in range(data.draw(st.integers(1, 5))):
        count = data.draw(st.integers(1, 6))
        _append(cache, seen, count)
        for layer in expected:
            for head in layer:
                head.extend(range(seen, seen + count))
        seen += count
        for layer in range(_LAYERS):
            held = cache.lengths[layer]
            keep = data.draw(st.integers(1, held))
            some = st.lists(st.integers(0, held - 1), min_size=keep, max_size=keep, unique=True)
            kept = [sorted(data.draw(some)) for _ in range(_HEADS)]
            _keep(cache, layer, kept, room=2)
            expected[layer] = [
                [head[index] for index in indices]
                for head, indices in zip(expected[layer], kept, strict=True)
            ]
        for layer in range(_LAYERS):
            assert cache.positions(layer).tolist() == expected[layer]
            numbers = torch.tensor(expected[layer]).float() + torch.tensor([[0.0], [0.1]])
            assert torch.equal(cache.keys(layer)[..., 0], numbers)
            assert torch.equal(cache.values(layer)[..., 0], -numbers)


def test_dropped_tokens_have_never_come() -> None:
    cache = _cache()
    _append(cache, 0, 3)
    _append(cache, 90, 2)
    cache.drop(2)
    _append(cache, 3, 2)
    assert cache.positions(0).tolist() == [[0, 1, 2, 3, 4]] * 2
    assert cache.keys(0)[0, :, 0].tolist() == [0, 1, 2, 3, 4]
    assert cache.peak_tokens == 5


def test_buffers_are_written_in_place_while_there_is_room() -> None:
    cache = _cache(8)
    _append(cache, 0, 8)
    place = cache.keys(0).data_ptr()
    for block in range(1, 5):
        _keep(cache, 0, [[0, 1, 2, 3]] * 2, room=4)
        _keep(cache, 1, [[4, 5, 6, 7]] * 2, room=4)
        _append(cache, 4 + 4 * block, 4)
    assert cache.keys(0).data_ptr() == place
    assert cache.peak_tokens == 8
    assert cache.peak_bytes == cache.bytes == _LAYERS * 2 * _HEADS * 8 * _WIDTH * 4


def test_a_layer_that_keeps_less_pays_for_one_that_keeps_more() -> None:
    cache = _cache(8)
    _append(cache, 0, 8)
    for block in range(1, 5):
        # 4 on average: 6 and 2.
        _keep(cache, 0, [[0, 1, 2, 3, 4, 5]] * 2, room=4)
        _keep(cache, 1, [[0, 1]] * 2, room=4)
        _append(cache, 4 + 4 * block, 4)
        assert cache.lengths == [10, 6]
    assert cache.peak_tokens == 10
    assert cache.peak_bytes == _LAYERS * 2 * _HEADS * 8 * _WIDTH * 4


def test_a_copy_of_its_exact_size_comes_out_and_goes_in_again() -> None:
    cache = _cache(20)
    _append(cache, 0, 8)
    _keep(cache, 1, [[1, 2, 5], [0, 6, 7]], room=4)
    kv = cache.compressed()
    assert (kv.length, kv.rectangular, kv.source_tokens) == (8, False, 8)
    assert kv.bytes == 2 * _HEADS * (8 + 3) * _WIDTH * 4
    assert all(key.untyped_storage().nbytes() == key.numel() * 4 for key in kv.keys)
    again = BlockCache.holding(kv, room=2)
    _append(again, 8, 2)
    assert again.lengths == [10, 5]
    assert again.positions(1).tolist() == [[1, 2, 5, 8, 9], [0, 6, 7, 8, 9]]
    assert torch.equal(again.keys(1)[:, :3], kv.keys[1])
    assert kv.keys[1].shape[1] == 3
