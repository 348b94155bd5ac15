"""Rotations add up, undo each other, and are what the model itself does."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from operators.replay.rotary import Rotary
from tests.operators.replay.tiny_model import tiny_model

_POSITIONS = st.lists(st.integers(0, 4_000), min_size=3, max_size=3)


def _rotary() -> Rotary:
    return Rotary(1 / 10_000 ** (torch.arange(0, 8).float() / 8))


def _vectors(seed: int = 0) -> torch.Tensor:
    return torch.randn(2, 3, 16, generator=torch.Generator().manual_seed(seed))


@given(_POSITIONS)
def test_a_rotation_and_its_inverse_change_nothing(positions: list[int]) -> None:
    by, vectors = torch.tensor(positions), _vectors()
    back = _rotary().rotate(_rotary().rotate(vectors, by), -by)
    assert torch.allclose(back, vectors, atol=1e-5)


@given(_POSITIONS, _POSITIONS)
def test_two_rotations_are_their_sum(first: list[int], second: list[int]) -> None:
    one, two = torch.tensor(first), torch.tensor(second)
    twice = _rotary().rotate(_rotary().rotate(_vectors(), one), two)
    # Angles of thousands of radians are exact to about 1e-4 in float32.
    assert torch.allclose(twice, _rotary().rotate(_vectors(), one + two), atol=5e-3)


def test_each_head_can_move_its_own_way() -> None:
    by = torch.tensor([[0, 1, 2], [5, 3, 0]])
    moved = _rotary().rotate(_vectors(), by)
    for head in range(2):
        alone = _rotary().rotate(_vectors()[head : head + 1], by[head])
        assert torch.equal(moved[head : head + 1], alone)
    assert torch.equal(moved[0, 0], _vectors()[0, 0])


def test_dimensions_without_rotation_stay() -> None:
    short = Rotary(_rotary().frequencies[:4])
    assert torch.equal(short.rotate(_vectors(), torch.tensor([9]))[..., 8:], _vectors()[..., 8:])


def test_the_type_stays() -> None:
    moved = _rotary().rotate(_vectors().bfloat16(), torch.tensor([9]))
    assert moved.dtype == torch.bfloat16


@pytest.mark.parametrize("start", [1, 300])
def test_it_is_the_rotation_of_the_model(start: int) -> None:
    model = tiny_model()
    here, there = model.cache(1), model.cache(1)
    model.forward(model.tensor([5]), here, start=0)
    model.forward(model.tensor([5]), there, start=start)
    for layer in range(model.layers):
        moved = model.rotary.rotate(here.keys(layer), torch.tensor([start]))
        assert torch.allclose(moved, there.keys(layer), atol=1e-4)
