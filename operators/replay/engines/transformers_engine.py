"""Answers with transformers: the reference for other engines, and what serves every cache."""

import time
from collections.abc import Sequence

import torch

from operators.replay.compressed import CompressedKv
from operators.replay.engines.base import ReplayAnswer, ReplayEngineError, ReplayRequest, StoredKv
from operators.replay.model import ReplayModel
from operators.replay.store import load_kv


def generate(
    model: ReplayModel, kv: CompressedKv | None, tokens: Sequence[int], max_tokens: int
) -> ReplayAnswer:
    """Go on greedily from `tokens` after `kv`, up to an end token or `max_tokens`.

    Ties go to the lowest token id. `kv` stays as it is.

    Raises:
        ReplayEngineError: `kv` is not of this model, or there are no tokens.
    """
    began = time.perf_counter()
    _refuse_empty(tokens)
    cache = model.cache_of(kv, len(tokens) + max_tokens)
    coming, answer, first_ms = model.tensor(tokens), list[int](), 0.0
    while len(answer) < max_tokens:
        token = int(model.forward(coming, cache, start=cache.length).argmax())
        first_ms = first_ms or (time.perf_counter() - began) * 1e3
        if token in model.end_tokens:
            break
        answer.append(token)
        coming = model.tensor([token])
    return ReplayAnswer(tuple(answer), _text(model, answer), first_ms)


def next_token_logits(
    model: ReplayModel, kv: CompressedKv | None, tokens: Sequence[int]
) -> torch.Tensor:
    """Logits of the token that follows `tokens` after `kv`: (vocabulary,), float32."""
    return continuation_logits(model, kv, tokens)[-1]


def continuation_logits(
    model: ReplayModel, kv: CompressedKv | None, tokens: Sequence[int]
) -> torch.Tensor:
    """Logits after each of `tokens`, all of them given: (len(tokens), vocabulary), float32.

    Raises:
        ReplayEngineError: `kv` is not of this model, or there are no tokens.
    """
    _refuse_empty(tokens)
    cache = model.cache_of(kv, len(tokens))
    return model.logits(model.tensor(tokens), cache, start=cache.length, last=len(tokens))


class TransformersEngine:
    """Serves requests one after another, with caches of any shape.

    A cache is read and checked again by every call of `answer`, once for neighbouring requests
    that share it.
    """

    def __init__(self, model: ReplayModel) -> None:
        self._model: ReplayModel | None = model
        self._fingerprint = model.fingerprint

    @property
    def fingerprint(self) -> str:
        """Of model, tokenizer and weights."""
        return self._fingerprint

    def answer(self, requests: Sequence[ReplayRequest]) -> list[ReplayAnswer]:
        """Answers in order; none if one of the caches cannot be used.

        Raises:
            ReplayEngineError: the engine is closed, or a cache is not of this model.
            KvStoreError: a tensor file is missing or not what was recorded.
        """
        if self._model is None:
            raise ReplayEngineError("replay: this engine is closed; make another one")
        answers: list[ReplayAnswer] = []
        stored, kv = None, None
        for request in requests:
            began = time.perf_counter()
            if request.cache != stored:
                stored, kv = request.cache, _loaded(self._model, request.cache)
            loading_ms = (time.perf_counter() - began) * 1e3
            answer = generate(self._model, kv, request.tokens, request.max_tokens)
            answers.append(
                ReplayAnswer(answer.tokens, answer.text, loading_ms + answer.first_token_ms)
            )
        return answers

    def close(self) -> None:
        """Free the model; may be called twice."""
        self._model = None


def _loaded(model: ReplayModel, stored: StoredKv | None) -> CompressedKv | None:
    if stored is None:
        return None
    kv = load_kv(stored.path, stored.checksum, model.dtype, model=model.fingerprint)
    if kv.length != stored.length:
        raise ReplayEngineError(
            f"replay: {stored.path} holds {kv.length} tokens, not {stored.length}; "
            "run `memoryflow replay --rebuild`"
        )
    return kv


def _refuse_empty(tokens: Sequence[int]) -> None:
    if not tokens:
        raise ReplayEngineError("replay: a request needs at least one token after its cache")


def _text(model: ReplayModel, tokens: list[int]) -> str:
    if model.tokenizer is None:
        return ""
    return str(model.tokenizer.decode(tokens, skip_special_tokens=True)).strip()
