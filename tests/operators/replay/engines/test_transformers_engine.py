"""The reference engine: greedy, from stored caches of any shape, in the order of the requests."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from operators.replay.compressed import CompressedKv
from operators.replay.engines.base import ReplayEngineError, ReplayRequest, StoredKv
from operators.replay.engines.transformers_engine import (
    TransformersEngine,
    continuation_logits,
    generate,
    next_token_logits,
)
from operators.replay.kv_header import KvStoreError
from operators.replay.layer_budgets.sensitivity import Sensitivity
from operators.replay.layer_budgets.uniform import Uniform
from operators.replay.method import Method
from operators.replay.model import ReplayModel
from operators.replay.prefill import compress
from operators.replay.scorers.keydiff import KeyDiff
from operators.replay.selections.per_head import PerHead
from operators.replay.store import save_kv
from tests.operators.replay.tiny_model import tiny_decoder, tiny_model, tiny_tokens

_QUESTION = (3, 1, 4, 1, 5, 9)


@pytest.fixture(scope="module")
def model() -> ReplayModel:
    return tiny_model()


def _kv(model: ReplayModel, seed: int = 0, *, ragged: bool = False) -> CompressedKv:
    layers = Sensitivity((0.1, 0.5)) if ragged else Uniform()
    method = Method(KeyDiff(), PerHead(), layers, block=32)
    return compress(model, tiny_tokens(200, seed), [], 40, method)


def _stored(folder: Path, kv: CompressedKv, fingerprint: str, name: str = "kv") -> StoredKv:
    file = save_kv(folder, name, kv, "float32", model=fingerprint)
    return StoredKv(name, file.path, file.checksum, kv.length)


def test_greedy_answers_are_those_of_transformers(model: ReplayModel) -> None:
    prompt = tiny_tokens(50)
    decoder = tiny_decoder().eval()
    done = decoder.generate(
        torch.tensor([prompt]), max_new_tokens=20, do_sample=False, pad_token_id=0
    )
    assert list(generate(model, None, prompt, 20).tokens) == done[0, 50:].tolist()


def test_an_end_token_ends_the_answer() -> None:
    model = tiny_model()
    long = generate(model, None, _QUESTION, 20).tokens
    model.end_tokens = frozenset({long[5]})
    assert generate(model, None, _QUESTION, 20).tokens == long[: long.index(long[5])]
    model.end_tokens = frozenset({long[0]})
    assert generate(model, None, _QUESTION, 20).tokens == ()


def test_logits_after_every_token_are_those_of_one_at_a_time(model: ReplayModel) -> None:
    kv = _kv(model, ragged=True)
    assert not kv.rectangular
    many = continuation_logits(model, kv, _QUESTION)
    assert many.shape == (6, 256)
    for count in range(1, 7):
        one = next_token_logits(model, kv, _QUESTION[:count])
        assert torch.allclose(one, many[count - 1], atol=1e-5)


@pytest.mark.parametrize("ragged", [False, True])
def test_stored_caches_answer_as_those_in_memory(
    model: ReplayModel, tmp_path: Path, ragged: bool
) -> None:
    kv = _kv(model, ragged=ragged)
    assert kv.rectangular != ragged
    stored = _stored(tmp_path, kv, model.fingerprint)
    answer = TransformersEngine(model).answer([ReplayRequest(_QUESTION, stored, 12)])[0]
    assert answer.tokens == generate(model, kv, _QUESTION, 12).tokens
    assert len(answer.tokens) == 12
    assert answer.first_token_ms > 0


def test_mixed_requests_are_answered_in_order(model: ReplayModel, tmp_path: Path) -> None:
    one, two = _kv(model, 1), _kv(model, 2)
    first = _stored(tmp_path, one, model.fingerprint, "one")
    second = _stored(tmp_path, two, model.fingerprint, "two")
    caches = [(first, one), (first, one), (None, None), (second, two), (first, one)]
    requests = [ReplayRequest(_QUESTION, stored, 8) for stored, _ in caches]
    answers = TransformersEngine(model).answer(requests)
    assert [answer.tokens for answer in answers] == [
        generate(model, kv, _QUESTION, 8).tokens for _, kv in caches
    ]
    assert len({answer.tokens for answer in answers}) == 3


def test_caches_that_cannot_be_used_are_refused(model: ReplayModel, tmp_path: Path) -> None:
    kv, engine = _kv(model), TransformersEngine(model)
    stored = _stored(tmp_path, kv, model.fingerprint)

    def ask(cache: StoredKv) -> None:
        engine.answer([ReplayRequest(_QUESTION, cache, 2)])

    with pytest.raises(ReplayEngineError, match="40 tokens, not 41"):
        ask(replace(stored, length=41))
    with pytest.raises(KvStoreError):
        ask(replace(stored, checksum="0" * 64))
    with pytest.raises(KvStoreError):
        ask(_stored(tmp_path, kv, "another model", "foreign"))
    stored.path.unlink()
    with pytest.raises(KvStoreError):
        ask(stored)


def test_requests_need_tokens(model: ReplayModel) -> None:
    with pytest.raises(ReplayEngineError, match="at least one token"):
        generate(model, None, (), 2)


def test_a_closed_engine_answers_nothing(model: ReplayModel) -> None:
    engine = TransformersEngine(model)
    assert engine.fingerprint == model.fingerprint
    engine.close()
    engine.close()
    assert engine.fingerprint == model.fingerprint
    with pytest.raises(ReplayEngineError, match="closed"):
        engine.answer([])
