"""Scorers that need no queries, against what their definitions say."""

import math

import pytest
import torch

from operators.replay.scorers.keydiff import KeyDiff
from operators.replay.scorers.streaming import Streaming
from tests.operators.replay.views import layer_view


def cosine(a, b):
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return dot / math.sqrt(sum(x * x for x in a)) / math.sqrt(sum(y * y for y in b))


@pytest.mark.parametrize("seed", range(5))
def test_keydiff_equals_the_definition(seed):
    view = layer_view(seed, tokens=11)
    scores = KeyDiff().score(view)
    assert scores.shape == (2, 11)
    assert scores.dtype == torch.float32
    for head, keys in enumerate(view.keys.tolist()):
        lengths = [math.sqrt(sum(x * x for x in key)) for key in keys]
        units = [[x / length for x in key] for key, length in zip(keys, lengths, strict=True)]
        anchor = [sum(column) / len(units) for column in zip(*units, strict=True)]
        expected = [-cosine(key, anchor) for key in keys]
        assert scores[head].tolist() == pytest.approx(expected, abs=1e-5)


def test_keydiff_prefers_the_key_unlike_the_others():
    view = layer_view(tokens=10)
    view.keys[:] = view.keys[:, :1]
    view.keys[:, 6] = -view.keys[:, 0]
    assert KeyDiff().score(view).argmax(dim=1).tolist() == [6, 6]


def test_keydiff_of_keys_in_half_precision_is_float32():
    view = layer_view()
    view = type(view)(**{**vars(view), "keys": view.keys.bfloat16()})
    assert KeyDiff().score(view).dtype == torch.float32


def test_streaming_prefers_the_latest_and_can_be_written_to():
    scores = Streaming().score(layer_view(tokens=5, asked=2))
    assert scores.tolist() == [[0, 1, 2, 3, 4]] * 2
    scores[0, 0] = math.inf  # the prefill marks sinks in place, head by head
    assert scores[1, 0] == 0
