"""SnapKV and the patch prompt against slow readings of their papers."""

import math
from dataclasses import replace

import pytest
import torch

from operators.replay.scorers.patch_prompt import PatchPrompt
from operators.replay.scorers.snapkv import SnapKv
from tests.operators.replay.views import layer_view, slow_attention


def slow_snapkv(view, head, window, kernel):
    groups = view.queries.shape[0] // view.keys.shape[0]
    asked, tokens = view.queries.shape[1], view.keys.shape[1]
    window = min(window, asked)
    older = tokens - window
    total = [0.0] * older
    for query_head in range(head * groups, (head + 1) * groups):
        rows = [slow_attention(view, query_head, q) for q in range(asked - window, asked)]
        votes = [sum(row[at] for row in rows) / window for at in range(older)]
        for at in range(older):
            near = votes[max(0, at - kernel // 2) : at + kernel // 2 + 1]
            total[at] += max(near) / groups
    return total + [math.inf] * window


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("window", "kernel"), [(4, 1), (4, 3), (4, 7), (32, 5)])
@pytest.mark.parametrize("offset", [0, 3])
def test_snapkv_equals_the_definition(seed, window, kernel, offset):
    view = layer_view(seed, offset=offset)
    scores = SnapKv(window, kernel).score(view)
    for head in range(2):
        expected = slow_snapkv(view, head, window, kernel)
        assert scores[head].tolist() == pytest.approx(expected, abs=1e-6)


def test_snapkv_keeps_everything_that_is_all_window():
    scores = SnapKv().score(layer_view(tokens=6, asked=6))
    assert scores.isinf().all()
    assert scores.shape == (2, 6)


@pytest.mark.parametrize("given", [{"window": 0}, {"kernel": 4}, {"kernel": 0}])
def test_snapkv_refuses(given):
    with pytest.raises(ValueError, match="kernel odd"):
        SnapKv(**given)


@pytest.mark.parametrize("group", ["max", "mean"])
@pytest.mark.parametrize("asked", [1, 5, 150])
def test_patch_prompt_equals_the_definition(group, asked):
    view = layer_view(seed=asked, tokens=9, asked=asked, behind=asked)
    scores = PatchPrompt(group).score(view)
    for head in range(2):
        for at in range(9):
            best = [
                max(slow_attention(view, query_head, query)[at] for query in range(asked))
                for query_head in range(3 * head, 3 * head + 3)
            ]
            expected = max(best) if group == "max" else sum(best) / 3
            assert float(scores[head, at]) == pytest.approx(expected, abs=1e-6)


def test_patch_prompt_is_the_same_to_the_bit_in_parts():
    view = layer_view(asked=150, tokens=200, behind=150)
    whole = view.per_kv_head(view.attention().amax(dim=1), "max")
    assert torch.allclose(PatchPrompt().score(view), whole, atol=1e-7, rtol=0)
    assert torch.equal(PatchPrompt().score(view), PatchPrompt().score(view))


def test_patch_prompt_follows_what_is_asked():
    view = layer_view(asked=3, behind=3)
    view.keys[:, 4] *= 5  # the longest in its own direction
    aimed = view.keys[:, 4].repeat_interleave(3, dim=0)[:, None] * 20
    view = replace(view, queries=aimed.expand(-1, 3, -1))
    assert (PatchPrompt().score(view)[:, 4] > 0.9).all()
