"""The gate before the raw history: how much of the evidence lies past what is shown."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.recall.thin_evidence import CANDIDATES, SEEN, THIN, is_thin, unseen_share

SCORES = st.lists(st.floats(-50, 50), max_size=80).map(lambda s: sorted(s, reverse=True))


def test_nothing_found_is_thin() -> None:
    assert is_thin([])


def test_few_results_are_all_seen() -> None:
    assert unseen_share([1.0] * SEEN) == 0
    assert not is_thin([1.0] * SEEN)


def test_equal_scores_spread_evenly() -> None:
    assert unseen_share([3.0] * 40) == pytest.approx(1 - SEEN / 40)
    assert is_thin([3.0] * 40)


def test_one_clear_result_is_enough() -> None:
    assert unseen_share([20.0, *[0.0] * 60]) < 1e-3
    assert not is_thin([20.0, *[0.0] * 60])


@given(SCORES)
def test_as_the_softmax_says(scores: list[float]) -> None:
    best = scores[:CANDIDATES]
    total = sum(math.exp(score) for score in best)
    past = sum(math.exp(score) for score in best[SEEN:])
    share = unseen_share(scores)
    assert 0 <= share <= 1
    assert share == pytest.approx(past / total if past else 0, abs=1e-4)
    assert is_thin(scores) == (not scores or share >= THIN)


@given(SCORES, st.floats(-20, 20))
def test_only_differences_count(scores: list[float], by: float) -> None:
    assert unseen_share([s + by for s in scores]) == pytest.approx(unseen_share(scores), abs=2e-4)
