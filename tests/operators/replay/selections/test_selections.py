"""Selections against slow readings of their definitions, with bounds, ties and sinks."""

import math
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from operators.replay.selections.composite import Composite
from operators.replay.selections.per_head import PerHead
from operators.replay.selections.ranking import best, rounded
from operators.replay.selections.shared import Shared
from tests.effort import examples

ALL = [PerHead(), Shared(), Composite(), Composite(across_layers=False)]


@st.composite
def scored(draw):
    """Scores of a few layers, of eighths, so that ties are common and sums exact; budgets."""
    layers = draw(st.integers(1, 4))
    heads = draw(st.sampled_from([1, 2, 4]))
    sizes = draw(st.lists(st.integers(1, 12), min_size=layers, max_size=layers))
    values = st.one_of(st.integers(-20, 20).map(lambda n: n / 8), st.just(math.inf))
    scores = [
        torch.tensor(draw(st.lists(values, min_size=heads * size, max_size=heads * size)))
        .float()
        .reshape(heads, size)
        for size in sizes
    ]
    budgets = draw(st.lists(st.integers(1, 14), min_size=layers, max_size=layers))
    return scores, budgets


def slow_best(scores, count):
    ranked = sorted(range(len(scores)), key=lambda at: (-scores[at], at))
    return sorted(ranked[:count])


def mean_of_heads(layer):
    return [sum(column) / len(column) for column in zip(*layer.tolist(), strict=True)]


def enhanced(layer, common):
    means = mean_of_heads(layer)
    return [
        [
            score + common * mean if common else score
            for score, mean in zip(head, means, strict=True)
        ]
        for head in layer.tolist()
    ]


@given(scored())
@examples(60)
def test_per_head_equals_the_definition(case):
    scores, budgets = case
    chosen = PerHead().choose(scores, budgets)
    for layer, budget, kept in zip(scores, budgets, chosen, strict=True):
        assert kept.tolist() == [slow_best(head, budget) for head in layer.tolist()]


@given(scored())
@examples(60)
def test_shared_equals_the_definition(case):
    scores, budgets = case
    chosen = Shared().choose(scores, budgets)
    for layer, budget, kept in zip(scores, budgets, chosen, strict=True):
        expected = slow_best(mean_of_heads(layer), budget)
        assert kept.tolist() == [expected] * layer.shape[0]


@given(scored(), st.sampled_from([0.0, 1.0]))
@examples(60)
def test_rectangular_composites_are_the_heads_best(case, common):
    scores, budgets = case
    selection = Composite(across_layers=False, common=common)
    chosen = selection.choose(scores, budgets)
    for layer, budget, kept in zip(scores, budgets, chosen, strict=True):
        assert kept.tolist() == [slow_best(head, budget) for head in enhanced(layer, common)]


def slow_lengths(scores, budgets, selection):
    """Take composites one by one: the best next one of the layers that may still take one."""
    mean = sum(budgets) // len(budgets)
    low = max(1, int(selection.least * mean))
    high = max(mean, int(selection.most * mean))
    total = min(sum(budgets), sum(layer.shape[1] for layer in scores))
    while sum(min(layer.shape[1], high) for layer in scores) < total:
        high += 1
    ranked = [
        [
            sum(column) / len(column)
            for column in zip(
                *(sorted(head, reverse=True) for head in enhanced(layer, selection.common)),
                strict=True,
            )
        ]
        for layer in scores
    ]
    lengths = [min(len(composites), low) for composites in ranked]
    while sum(lengths) < total:
        open_layers = [
            at for at, composites in enumerate(ranked) if lengths[at] < min(high, len(composites))
        ]
        at = min(open_layers, key=lambda at: (-ranked[at][lengths[at]], at))
        lengths[at] += 1
    return lengths


@given(scored(), st.sampled_from([0.0, 0.5]), st.sampled_from([1.0, 2.0, 3.0]))
@examples(100)
def test_composites_over_all_layers_equal_the_definition(case, least, most):
    scores, budgets = case
    selection = Composite(least=least, most=most)
    chosen = selection.choose(scores, budgets)
    lengths = slow_lengths(scores, budgets, selection)
    assert [kept.shape[1] for kept in chosen] == lengths
    for layer, length, kept in zip(scores, lengths, chosen, strict=True):
        assert kept.tolist() == [
            slow_best(head, length) for head in enhanced(layer, selection.common)
        ]


@pytest.mark.parametrize("selection", ALL)
@given(case=scored())
@examples(30)
def test_what_all_selections_promise(selection, case):
    scores, budgets = case
    before = [layer.clone() for layer in scores]
    chosen = selection.choose(scores, budgets)
    again = selection.choose(scores, budgets)
    total = sum(kept.shape[1] for kept in chosen)
    assert total <= min(sum(budgets), sum(layer.shape[1] for layer in scores))
    for layer, kept, same, old in zip(scores, chosen, again, before, strict=True):
        assert torch.equal(kept, same)
        assert torch.equal(layer, old)
        assert kept.dtype == torch.int64
        assert kept.shape[0] == layer.shape[0]
        assert kept.shape[1] >= 1
        assert (kept[:, 1:] > kept[:, :-1]).all()
        assert kept.min() >= 0
        assert kept.max() < layer.shape[1]


@pytest.mark.parametrize("selection", ALL)
def test_sinks_stay(selection):
    generator = torch.Generator().manual_seed(3)
    scores = [torch.randn(2, 200, generator=generator) * 10**at for at in range(4)]
    for layer in scores:
        layer[:, :4] = math.inf
    for kept in selection.choose(scores, [60] * 4):
        assert kept[:, :4].tolist() == [[0, 1, 2, 3]] * 2


def test_composites_move_budget_to_the_layer_with_better_tokens_within_bounds():
    scores = [torch.full((2, 100), 0.1), torch.full((2, 100), 0.9), torch.full((2, 100), 0.5)]
    chosen = Composite().choose(scores, [20, 20, 20])
    assert [kept.shape[1] for kept in chosen] == [2, 56, 2]
    chosen = Composite(most=2.0).choose(scores, [20, 20, 20])
    assert [kept.shape[1] for kept in chosen] == [2, 40, 18]


@pytest.mark.parametrize("selection", ALL)
def test_noise_in_the_last_bits_changes_nothing(selection):
    generator = torch.Generator().manual_seed(1)
    # Coarse scores with many ties: without rounding, noise would break them.
    scores = [torch.randint(1, 9, (2, 80), generator=generator) / 8 for _ in range(3)]
    noisy = [layer * (1 + 2e-7 * torch.randn(layer.shape, generator=generator)) for layer in scores]
    for kept, same in zip(
        selection.choose(scores, [20] * 3), selection.choose(noisy, [20] * 3), strict=True
    ):
        assert torch.equal(kept, same)


def test_rounding():
    values = torch.tensor([1.000001, 131_071.0, -3e-7, 0.0, math.inf, -math.inf, 1e30])
    made = rounded(values)
    assert made[0] == 1.0
    assert made[1] == 131_071
    assert made[3:6].tolist() == [0, math.inf, -math.inf]
    torch.testing.assert_close(made[[2, 6]], values[[2, 6]], rtol=1e-5, atol=0)
    with pytest.raises(ValueError, match="NaN"):
        rounded(torch.tensor([1.0, math.nan]))


def test_best_takes_all_where_there_are_no_more():
    assert best(torch.tensor([3.0, 1.0]), 5).tolist() == [0, 1]


@pytest.mark.parametrize("given_", [{"least": 2.0}, {"most": 0.5}, {"least": -1.0}])
def test_composite_refuses_bounds(given_):
    with pytest.raises(ValueError, match="least <= 1 <= most"):
        Composite(**given_)


def test_layers_and_budgets_must_match():
    for selection in ALL:
        with pytest.raises(ValueError):
            selection.choose([torch.zeros(1, 3)], [1, 1])


def test_names_differ():
    assert Counter(one.name for one in ALL)["composite"] == 2
    assert len({one.name for one in ALL}) == 3
