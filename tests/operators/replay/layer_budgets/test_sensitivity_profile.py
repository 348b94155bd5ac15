"""The profile of a model against its definition, query by query."""

import pytest
import torch

from operators.replay.layer_budgets.sensitivity_profile import (
    calibration_text,
    measure_similarities,
)
from tests.operators.replay.tiny_model import tiny_model, tiny_tokens


def bare_keys(model, tokens):
    cache = model.cache(len(tokens))
    for at, token in enumerate(tokens):
        model.forward(model.tensor([token]), cache, start=at)
    positions = torch.arange(len(tokens))
    return [model.rotary.rotate(cache.keys(layer), -positions) for layer in range(model.layers)]


def test_equals_the_definition_token_by_token():
    model, tokens, block, sinks = tiny_model(layers=3), tiny_tokens(25), 10, 2
    whole = bare_keys(model, tokens)
    expected = []
    for layer in range(3):
        cosines = []
        for start in (10, 20):
            part = tokens[start : start + block]
            alone = bare_keys(model, tokens[:sinks] + part)[layer]
            for at in range(len(part)):
                for head in range(model.kv_heads):
                    one, two = whole[layer][head, start + at], alone[head, sinks + at]
                    cosines.append(float(torch.cosine_similarity(one, two, dim=0)))
        expected.append(sum(cosines) / len(cosines))
    made = measure_similarities(model, tokens, block, sinks)
    assert made == pytest.approx(expected, abs=2e-5)
    assert made == measure_similarities(model, tokens, block, sinks)


def test_the_first_layer_sees_no_context_and_later_ones_do():
    made = measure_similarities(tiny_model(layers=3), tiny_tokens(64), 16)
    assert made[0] == 1.0
    assert all(-1 <= similarity < 1 for similarity in made[1:])


def test_long_blocks_are_cut_and_short_texts_refused():
    model = tiny_model()
    assert measure_similarities(model, tiny_tokens(30), 999) == measure_similarities(
        model, tiny_tokens(30), 15
    )
    with pytest.raises(ValueError, match="9 tokens are too few"):
        measure_similarities(model, tiny_tokens(9), 4)


def test_the_calibration_text_is_there():
    assert 1_400 < len(calibration_text().split()) < 2_000
