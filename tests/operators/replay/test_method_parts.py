"""Every name in a `replay:` section has its part, and every part can be put with the others."""

from typing import get_args

import pytest

from operators.replay import method_parts
from operators.replay.method_parts import method_of, part_versions
from operators.replay.model import ReplayModel
from operators.replay.prefill import prefill
from operators.replay.spec import (
    LayerBudgetName,
    MergerName,
    ReplaySpec,
    ScorerName,
    SelectionName,
)
from tests.operators.replay.tiny_model import tiny_decoder, tiny_tokens


class _Letters:
    """A tokenizer that takes the letters of a text for tokens."""

    def __call__(self, text: str, add_special_tokens: bool) -> dict[str, list[int]]:
        return {"input_ids": [ord(letter) % 256 for letter in text[:400]]}


@pytest.fixture(scope="module")
def model() -> ReplayModel:
    return ReplayModel(tiny_decoder(), _Letters(), "tiny")


def test_names_and_parts_agree() -> None:
    assert set(method_parts.SCORERS) == set(get_args(ScorerName))
    assert set(method_parts.SELECTIONS) == set(get_args(SelectionName))
    assert set(method_parts.LAYER_BUDGETS) == set(get_args(LayerBudgetName))
    assert set(method_parts.MERGERS) == set(get_args(MergerName))
    assert all(name == part.name for name, part in method_parts.SCORERS.items())
    assert all(name == part.name for name, part in method_parts.SELECTIONS.items())
    assert all(name == part.name for name, part in method_parts.LAYER_BUDGETS.items())


@pytest.mark.parametrize("scorer", get_args(ScorerName))
@pytest.mark.parametrize("layers", get_args(LayerBudgetName))
def test_any_parts_work_together(
    model: ReplayModel, scorer: ScorerName, layers: LayerBudgetName
) -> None:
    tokens, patch = tiny_tokens(150), tiny_tokens(10, seed=1)
    for selection in get_args(SelectionName):
        for merge in get_args(MergerName):
            spec = ReplaySpec(
                scorer=scorer, layers=layers, selection=selection, merge=merge, block=64
            )
            method = method_of(spec, model)
            assert (method.block, method.sinks) == (64, 4)
            done = prefill(model, tokens, patch, 40, method)
            lengths = [key.shape[1] for key in done.kv.keys]
            assert 70 <= sum(lengths) <= 80
            token = 2 * model.kv_heads * model.head_dim * 4
            assert done.peak_bytes <= model.layers * (40 + 64) * token
            if layers == "uniform" and selection != "composite":
                assert lengths == [40, 40]


def test_the_sensitivity_of_a_model_is_measured_once(
    model: ReplayModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = method_of(ReplaySpec(layers="sensitivity", block=64), model)
    monkeypatch.setattr(method_parts, "measure_similarities", None)
    assert method_of(ReplaySpec(layers="sensitivity", block=64), model) == first


def test_versions_name_every_part() -> None:
    spec = ReplaySpec(scorer="snapkv", selection="shared", layers="cake")
    assert part_versions(spec) == ("snapkv@1", "shared@1", "cake@1", "none")
    merged = part_versions(ReplaySpec(merge="gaussian"))
    assert merged[3].startswith("gaussian@")
