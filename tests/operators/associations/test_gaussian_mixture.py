"""The mixture against scikit-learn, and what a row may depend on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.mixture import GaussianMixture

from operators.associations.gaussian_mixture import upper_component
from tests.effort import examples

WIDTH = 20


def padded(rows):
    out = np.zeros((len(rows), WIDTH))
    for at, row in enumerate(rows):
        out[at, : len(row)] = sorted((round(x, 4) for x in row), reverse=True)
    return out, np.array([len(row) for row in rows], np.int64)


def accepted(rows):
    scores, counts = padded(rows)
    made = upper_component(scores, counts)
    return [made.scores[at, : len(row)].tolist() for at, row in enumerate(rows)], made.parted


@pytest.mark.parametrize("seed", range(20))
def test_equals_scikit_learn_where_the_components_are_apart(seed):
    rng = np.random.default_rng(seed)
    high = rng.integers(2, 10)
    row = [*rng.normal(0.7, 0.03, high), *rng.normal(0.3, 0.03, WIDTH - high)]
    (ours,), _ = accepted([row])
    data = padded([row])[0][0][:, None]
    model = GaussianMixture(2, covariance_type="full", reg_covar=1e-4, random_state=0).fit(data)
    theirs = model.predict(data) == int(np.argmax(model.means_))
    assert ours == theirs.tolist()
    assert sum(ours) == high


def test_one_score_may_stand_out():
    (mask,), _ = accepted([[0.8, *[0.3 + 0.01 * i for i in range(8)]]])
    assert mask == [True] + [False] * 8


def test_equal_scores_have_one_component():
    masks, parted = accepted([[0.5] * 6, [0.5], [], [0.5, 0.2]])
    assert masks[:3] == [[False] * 6, [False], []]
    assert parted.tolist() == [False, False, False, True]


def test_narrow_input():
    made = upper_component(np.zeros((3, 1)), np.ones(3, np.int64))
    assert not made.scores.any()
    assert upper_component(np.zeros((0, WIDTH)), np.zeros(0, np.int64)).scores.shape == (0, WIDTH)


SCORES = st.lists(st.integers(-1000, 10_000).map(lambda i: i / 10_000), max_size=WIDTH)


@examples(60)
@given(st.lists(SCORES, min_size=1, max_size=9))
def test_a_row_is_the_same_alone_and_in_a_batch(rows):
    together, parted = accepted(rows)
    for row, mask, is_parted in zip(rows, together, parted, strict=True):
        (alone,), (alone_parted,) = accepted([row])
        assert alone == mask
        assert alone_parted == is_parted


@examples(60)
@given(SCORES)
def test_what_is_accepted_lies_above_what_is_not_at_the_lower_end(row):
    (mask,), (parted,) = accepted([row])
    assert parted == (len(set(row)) > 1)
    if parted:
        assert any(mask)
        assert not mask[-1], "the lowest score is never accepted"
