"""The Gaussian merger against a slow reading of its definition."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from operators.replay.mergers.gaussian import Gaussian
from tests.effort import examples


def cosine(a, b):
    return float(torch.cosine_similarity(a.double(), b.double(), dim=0))


def slow_head(keys, values, scores, kept, threshold):
    """Merged keys and values of one head, as lists of tensors."""
    tokens = len(keys)
    run = [0] * tokens
    for at in range(1, tokens):
        run[at] = run[at - 1] + (round(cosine(keys[at], keys[at - 1]), 5) < threshold)
    members = {pivot: [] for pivot in kept}
    for at in range(tokens):
        pivots = [p for p in kept if run[p] == run[at] and not math.isinf(scores[p])]
        if at not in members and pivots:
            members[min(pivots, key=lambda p: (abs(p - at), p))].append(at)
    out = []
    for pivot in kept:
        distances = [float((keys[at] - keys[pivot]).norm()) for at in members[pivot]]
        mean = sum(distances) / len(distances) if distances else 0.0
        sigma = mean / math.sqrt(2)
        kernels = [math.exp(-(d**2) / (2 * sigma**2)) if sigma > 0 else 1.0 for d in distances]
        weights = [w / (1 + sum(kernels)) for w in (1.0, *kernels)]
        places = [pivot, *members[pivot]]
        out.append(
            [
                sum(w * tensor[at] for w, at in zip(weights, places, strict=True))
                for tensor in (keys, values)
            ]
        )
    return out


def case(seed, heads=2, tokens=16, count=5, size=4, sinks=1):
    """Keys that wander, so that neighbours are alike more often than not."""
    generator = torch.Generator().manual_seed(seed)
    keys = torch.randn(heads, tokens, size, generator=generator).cumsum(dim=1)
    values = torch.randn(heads, tokens, size, generator=generator)
    scores = torch.rand(heads, tokens, generator=generator)
    scores[:, :sinks] = math.inf
    kept = scores.topk(count, dim=1).indices.sort(dim=1).values
    return keys, values, scores, kept


@given(st.integers(0, 10_000), st.integers(1, 12), st.sampled_from([-1.0, 0.5, 0.75, 0.9, 1.1]))
@examples(100)
def test_equals_the_definition(seed, count, threshold):
    keys, values, scores, kept = case(seed, count=count)
    made_keys, made_values = Gaussian(threshold).merge(keys, values, scores, kept)
    assert made_keys.shape == made_values.shape == (2, count, 4)
    for head in range(2):
        expected = slow_head(
            keys[head], values[head], scores[head].tolist(), kept[head].tolist(), threshold
        )
        for at, (key, value) in enumerate(expected):
            torch.testing.assert_close(made_keys[head, at], key, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(made_values[head, at], value, rtol=1e-4, atol=1e-5)


def plain(tensor, kept):
    return tensor.gather(1, kept[..., None].expand(-1, -1, tensor.shape[-1]))


def test_without_neighbours_alike_nothing_changes():
    keys, values, scores, kept = case(1)
    made_keys, made_values = Gaussian(threshold=1.1).merge(keys, values, scores, kept)
    assert torch.equal(made_keys, plain(keys, kept))
    assert torch.equal(made_values, plain(values, kept))


def test_sinks_take_nothing_in():
    keys, values, scores, kept = case(2, sinks=4, count=8)
    made_keys, made_values = Gaussian(threshold=-1).merge(keys, values, scores, kept)
    assert torch.equal(made_keys[:, :4], keys[:, :4])
    assert torch.equal(made_values[:, :4], values[:, :4])
    assert not torch.equal(made_values[:, 4:], plain(values, kept)[:, 4:])


def test_coinciding_keys_weigh_alike():
    keys = torch.ones(1, 3, 2)
    values = torch.tensor([[[0.0, 0.0], [3.0, 6.0], [6.0, 0.0]]])
    kept = torch.tensor([[1]])
    _, merged = Gaussian().merge(keys, values, torch.ones(1, 3), kept)
    assert merged.flatten().tolist() == pytest.approx([3.0, 2.0])


def test_all_kept_is_the_identity_and_types_stay():
    keys, values, scores, _ = case(3)
    kept = torch.arange(16).expand(2, 16)
    made_keys, made_values = Gaussian().merge(keys.bfloat16(), values, scores, kept)
    assert torch.equal(made_keys, keys.bfloat16())
    assert torch.equal(made_values, values)
    assert made_keys.dtype == torch.bfloat16


def test_repeatable():
    given_ = case(4, tokens=400, count=100)
    first, again = Gaussian().merge(*given_), Gaussian().merge(*given_)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
