"""Layer budgets against slow readings of their papers; shares that always add up."""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from operators.replay.layer_budgets.cake import Cake
from operators.replay.layer_budgets.sensitivity import Sensitivity
from operators.replay.layer_budgets.shares import share_out
from operators.replay.layer_budgets.uniform import Uniform
from operators.replay.layer_budgets.zigzag import ZigZag
from tests.effort import examples
from tests.operators.replay.views import layer_view, slow_attention

WEIGHTS = st.lists(
    st.one_of(st.just(0.0), st.floats(1e-9, 1e9), st.integers(0, 5).map(float)),
    min_size=1,
    max_size=32,
)


@given(WEIGHTS, st.integers(1, 2000), st.sampled_from([0.0, 0.1, 1.0]), st.floats(1, 8))
@examples(200)
def test_shares_add_up_within_bounds(weights, budget, least, most):
    tokens = share_out(budget, weights, least, most)
    assert sum(tokens) == budget * len(weights)
    assert min(tokens) >= max(1, int(least * budget))
    assert max(tokens) <= max(budget, int(most * budget))
    for weight, more in zip(weights, tokens, strict=True):
        for other, less in zip(weights, tokens, strict=True):
            assert weight <= other * (1 + 1e-5) or more >= less - 1


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8), st.integers(20, 300))
@examples(100)
def test_shares_without_bounds_are_proportional(weights, budget):
    total = budget * len(weights)
    tokens = share_out(budget, [float(weight) for weight in weights], 0.0, 1000.0)
    for weight, made in zip(weights, tokens, strict=True):
        assert abs(Fraction(total * weight, sum(weights)) - made) <= 1


def test_shares_by_hand():
    assert share_out(10, [1, 1, 2], 0, 9) == [8, 7, 15]
    assert share_out(10, [0, 0, 0], 0.1, 3) == [10, 10, 10]
    assert share_out(10, [0, 0, 1], 0.1, 3) == [1, 1, 28]
    assert share_out(10, [0, 0, 1], 0.1, 2) == [5, 5, 20]
    assert share_out(10, [1, 1, 100], 0.1, 2) == [5, 5, 20]
    assert share_out(1, [0, 5, 9], 0.1, 3) == [1, 1, 1]


@pytest.mark.parametrize("weights", [[], [1.0, -1.0], [math.nan], [math.inf]])
def test_shares_refuse(weights):
    with pytest.raises(ValueError, match="weights of layers"):
        share_out(5, weights, 0.1, 2)


def test_uniform():
    view = layer_view()
    uniform = Uniform()
    assert uniform.allocate(7, [uniform.observe(view)] * 3) == [7, 7, 7]


def test_sensitivity_follows_the_paper():
    profile = (0.9, 0.5, 0.7, 0.6)
    method = Sensitivity(profile, alpha=2.0, least=0.0, most=9.0)
    observed = [method.observe(layer_view(layer=layer)) for layer in range(4)]
    assert observed == list(profile)
    # w: 0, 1, 1/4, 9/16
    weights = [0, 16, 4, 9]
    expected = [400 * weight / 29 for weight in weights]
    tokens = method.allocate(100, observed)
    assert tokens[0] == 1
    assert tokens[1:] == pytest.approx(expected[1:], abs=1)
    assert sum(tokens) == 400


def test_sensitivity_of_equal_layers_is_uniform_and_sinks_always_fit():
    assert Sensitivity((0.5,) * 3).allocate(9, [0.5] * 3) == [9, 9, 9]
    assert min(Sensitivity(()).allocate(128, [0.99, 0.2, 0.5])) >= 4


def test_sensitivity_refuses_another_models_profile():
    with pytest.raises(ValueError, match="layer 3 is not in a profile of 2"):
        Sensitivity((0.5, 0.6)).observe(layer_view(layer=3))


@pytest.mark.parametrize(("asked", "behind"), [(6, 0), (2, 0), (1, 0), (5, 5)])
def test_cake_equals_the_definition(asked, behind):
    view = layer_view(seed=asked, tokens=14, asked=asked, behind=behind, offset=2)
    window = min(4, asked)
    older = 14 if behind else 14 - window
    entropy = variance = 0.0
    for head in range(6):
        rows = [slow_attention(view, head, query) for query in range(asked - window, asked)]
        entropy -= sum(a * math.log(a) for row in rows for a in row[:older])
        for at in range(older):
            column = [row[at] for row in rows]
            mean = sum(column) / window
            if window > 1:
                variance += sum((a - mean) ** 2 for a in column) / (window - 1)
    expected = entropy ** (1 / 2) * variance ** (1 / 0.5)
    assert Cake(4, tau1=2, tau2=0.5).observe(view) == pytest.approx(expected, rel=1e-4)


def test_cake_gives_by_preference():
    assert Cake().allocate(10, [1.0, 3.0]) == [5, 15]
    assert Cake().allocate(10, [0.0, 0.0]) == [10, 10]


@pytest.mark.parametrize("hold", [0.5, 0.9, 1.0])
@pytest.mark.parametrize("behind", [0, 5])
def test_zigzag_equals_the_definition(hold, behind):
    view = layer_view(seed=4, tokens=14, asked=5, behind=behind)
    needed = []
    for head in range(6):
        rows = [slow_attention(view, head, query) for query in (2, 3, 4)]
        mean = sorted((sum(column) / 3 for column in zip(*rows, strict=True)), reverse=True)
        fewest = next(n for n in range(1, 15) if sum(mean[:n]) > hold - 1e-6)
        needed.append(fewest)
    assert ZigZag(hold, window=3).observe(view) == pytest.approx(sum(needed) / 6)


def test_zigzag_follows_the_formula():
    # b = 50, B = 100: 50 + 50 * 2 * u
    assert ZigZag().allocate(100, [10.0, 30.0]) == [75, 125]
    assert ZigZag().allocate(100, [0.0, 0.0]) == [100, 100]


@pytest.mark.parametrize("method", [Uniform(), Sensitivity((0.3,)), Cake(), ZigZag()])
def test_observation_is_repeatable_and_leaves_the_view(method):
    view = layer_view()
    before = view.keys.clone()
    assert method.observe(view) == method.observe(view)
    assert torch.equal(view.keys, before)
