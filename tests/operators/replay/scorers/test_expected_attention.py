"""ExpectedAttention against numpy's reading of the paper, and against sampled queries."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from operators.replay.scorers.expected_attention import ExpectedAttention
from tests.operators.replay.views import layer_view


def rotation(view, position):
    """The matrix that rotates a column vector to `position`."""
    size = view.keys.shape[-1]
    half = len(view.rotary.frequencies)
    matrix = np.eye(size)
    for at, frequency in enumerate(view.rotary.frequencies.tolist()):
        cos, sin = math.cos(position * frequency), math.sin(position * frequency)
        matrix[at, at] = matrix[half + at, half + at] = cos
        matrix[at, half + at], matrix[half + at, at] = -sin, sin
    return matrix


def slow_score(view, scorer):
    tokens = view.keys.shape[1]
    groups = view.queries.shape[0] // view.keys.shape[0]
    positions = view.query_positions.tolist()
    turn = np.mean(
        [rotation(view, positions[-1] + 1 + ahead) for ahead in range(scorer.future)], axis=0
    )
    out = np.full((view.keys.shape[0], tokens), math.inf)
    for head in range(view.keys.shape[0]):
        weights = np.zeros(tokens - scorer.sinks)
        for query_head in range(head * groups, (head + 1) * groups):
            bare = np.array(
                [
                    rotation(view, -position) @ view.queries[query_head, at].double().numpy()
                    for at, position in enumerate(positions)
                    if position >= scorer.sinks
                ]
            )
            mean, covariance = bare.mean(axis=0), np.cov(bare.T, bias=True)
            logits = []
            for key in view.keys[head, scorer.sinks :].double().numpy():
                logit = key @ turn @ mean * view.scaling
                if scorer.covariance:
                    logit += key @ turn @ covariance @ turn.T @ key * view.scaling**2 / 2
                logits.append(logit)
            exps = np.exp(logits)
            weights += exps / exps.sum() / groups
        lengths = np.linalg.norm(view.values[head, scorer.sinks :].numpy(), axis=1)
        out[head, scorer.sinks :] = (weights + scorer.epsilon) * lengths
    return out


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("covariance", [True, False])
@pytest.mark.parametrize("rotated", [8, 4])
def test_equals_the_definition(seed, covariance, rotated):
    scorer = ExpectedAttention(future=16, sinks=2, covariance=covariance, epsilon=0.01)
    view = layer_view(seed, tokens=12, asked=12, rotated=rotated)
    np.testing.assert_allclose(scorer.score(view), slow_score(view, scorer), rtol=1e-4)


def test_later_blocks_have_no_sinks_among_their_queries():
    scorer = ExpectedAttention(future=8)
    view = layer_view(tokens=15, asked=6)
    np.testing.assert_allclose(scorer.score(view), slow_score(view, scorer), rtol=1e-4)


def test_no_more_tokens_than_sinks_are_all_kept():
    assert ExpectedAttention().score(layer_view(tokens=3, asked=3)).isinf().all()
    one_more = ExpectedAttention().score(layer_view(tokens=5, asked=5))
    assert one_more.isinf().sum(dim=1).tolist() == [4, 4]


def test_the_expectation_is_that_of_drawn_queries():
    """With one future position the mean rotation is a rotation, and the formula exact."""
    scorer = ExpectedAttention(future=1, sinks=0)
    view = layer_view(tokens=6, asked=4000, groups=1, behind=4000)
    turned = view.rotary.rotate(
        view.rotary.rotate(view.queries, -view.query_positions),
        torch.full((4000,), int(view.query_positions[-1]) + 1),
    )
    weights = (turned @ view.keys.transpose(1, 2) * view.scaling).exp().mean(dim=1)
    expected = weights / weights.sum(dim=1, keepdim=True) * view.values.norm(dim=-1)
    torch.testing.assert_close(scorer.score(view), expected, rtol=0.1, atol=0.01)


def test_longer_values_count_more():
    view = layer_view()
    longer = view.values.clone()
    longer[:, 9] *= 3
    before = ExpectedAttention().score(view)
    after = ExpectedAttention().score(replace(view, values=longer))
    torch.testing.assert_close(after[:, 9], before[:, 9] * 3)
    assert torch.equal(after[:, 10:], before[:, 10:])
