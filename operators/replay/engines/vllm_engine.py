"""Answers from stored caches by vLLM: many at once, with one episode or several or none.

The caches come into unmodified vLLM through a KV connector (`vllm_connector`): a request begins
with as many placeholders as its cache has tokens, whose keys and values are loaded, and goes on
with the tokens of the question. vLLM keeps the blocks, so that the next question to the same
episode loads next to nothing; a salt keeps episodes apart, whose placeholders are all alike.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from operators.llm.engines.reaper import Reaper
from operators.llm.engines.vllm_life import shut_down, while_alive
from operators.replay.engines.background_loop import BackgroundLoop
from operators.replay.engines.base import (
    ReplayAnswer,
    ReplayEngineError,
    ReplayRequest,
    StoredKv,
)
from operators.replay.engines.stored_files import StoredFiles
from operators.replay.engines.vllm_start import start_vllm, vllm_variables
from operators.replay.kv_header import KvStoreError
from operators.replay.spec import ReplaySpec
from operators.replay.weights import model_folder, weights_fingerprint

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.inputs.engine import TokensInput
    from vllm.v1.engine.async_llm import AsyncLLM

_PLACEHOLDER = 0
"""Any token: nothing is computed of it."""


class VllmReplayEngine:
    """Implements `ReplayEngine`. Several threads may ask at once.

    The constructor loads the model: 15 to 40 s for a small one on CPU. Episode and question
    must fit into the model's window, and into `kv_cache_gib` on CPU.

    Attributes:
        longest: tokens of cache, question and answer together.
        files: what has been verified of the tensor files.
    """

    def __init__(self, spec: ReplaySpec) -> None:
        """Start the engine and wait until it can answer.

        Raises:
            ReplayEngineError: vLLM is not installed, or cannot run this model here.
        """
        self._model = spec.model
        weights = str(model_folder(spec.model))
        self._fingerprint = weights_fingerprint(weights)
        self.files = StoredFiles(self._fingerprint)
        self._numbers = itertools.count()
        self._reaper = Reaper()
        try:
            with vllm_variables(spec, weights), self._reaper.watching():
                engine = start_vllm(spec, weights)
        except BaseException:
            self._reaper.close()
            raise
        self._engine: AsyncLLM | None = engine
        self._tokenizer: Any = engine.get_tokenizer()
        self.longest = engine.model_config.max_model_len
        self._loop = BackgroundLoop("replay-vllm")

    @property
    def fingerprint(self) -> str:
        """Of model, tokenizer and weights."""
        return self._fingerprint

    def answer(self, requests: Sequence[ReplayRequest]) -> list[ReplayAnswer]:
        """Answers in order, all or none.

        All caches are verified before the engine is given anything: one that cannot be used
        refuses the whole call. First-token times are measured here, from this call to the first
        token that comes back: they include verifying, loading, and waiting for others in the
        batch.

        Raises:
            ReplayEngineError: the engine is closed or has died; a request that is too long or
                has no tokens; a cache with layers of different lengths.
            KvStoreError: a tensor file is missing, damaged, or of another model.
        """
        sent = time.perf_counter()
        self._running()
        for request in requests:
            self._check(request)
        return self._loop.run(self._together(requests, sent))

    def close(self) -> None:
        """End the engine's processes; may be called twice."""
        engine, self._engine = self._engine, None
        if engine is not None:
            self._loop.run(shut_down(engine))
        self._loop.close()
        self._reaper.close()

    def _running(self) -> "AsyncLLM":
        if self._engine is None:
            raise ReplayEngineError(f"replay: the vLLM engine of {self._model} has been closed")
        return self._engine

    def _check(self, request: ReplayRequest) -> None:
        if not request.tokens:
            raise ReplayEngineError("replay: a request needs at least one token after its cache")
        if request.cache is not None:
            self.files.verify(request.cache)
        kept = request.cache.length if request.cache else 0
        wanted = kept + len(request.tokens) + request.max_tokens
        if wanted > self.longest:
            raise ReplayEngineError(
                f"replay: {kept} cached tokens, {len(request.tokens)} of the question and "
                f"{request.max_tokens} of the answer are {wanted}; this engine takes "
                f"{self.longest} (the model's window, or what its KV cache has room for: "
                "`kv_cache_gib`). Take a higher `ratio`, or shorter episodes (`max_chars`)"
            )

    async def _together(self, requests: Sequence[ReplayRequest], sent: float) -> list[ReplayAnswer]:
        answers = [asyncio.ensure_future(self._one(request, sent)) for request in requests]
        try:
            return await asyncio.gather(*answers)
        finally:
            for answer in answers:
                answer.cancel()  # vLLM stops working at it

    async def _one(self, request: ReplayRequest, sent: float) -> ReplayAnswer:
        from vllm.exceptions import VLLMClientError  # noqa: PLC0415
        from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError  # noqa: PLC0415

        outputs = self._running().generate(
            _prompt(request), _sampling(request), request_id=f"replay-{next(self._numbers)}"
        )
        try:
            tokens, reason, first = await while_alive(
                _drained(outputs), lambda: self._engine, lambda: ReplayEngineError(self._died())
            )
        except EngineDeadError as error:
            raise ReplayEngineError(self._died()) from error
        except (EngineGenerateError, VLLMClientError) as error:
            cause = error.__cause__ or error
            raise ReplayEngineError(f"replay: vLLM failed in a request: {cause}") from error
        if reason not in ("stop", "length"):
            raise self._failed(request, reason)
        if reason == "stop":
            tokens = tokens[:-1]
        text = str(self._tokenizer.decode(tokens, skip_special_tokens=True)).strip()
        return ReplayAnswer(tuple(tokens), text, (first - sent) * 1000)

    def _failed(self, request: ReplayRequest, reason: str) -> Exception:
        """Why the engine gave a request up: most likely its file has changed meanwhile."""
        cache = request.cache
        try:
            if cache is not None:
                StoredFiles(self._fingerprint).verify(cache)
        except (KvStoreError, ReplayEngineError) as error:
            return error
        return ReplayEngineError(
            f"replay: vLLM gave up a request ({reason}) with {cache.path if cache else 'no cache'};"
            " see the log of the process that hosts it"
        )

    def _died(self) -> str:
        return (
            f"replay: the vLLM engine of {self._model} died (killed, or out of memory?); "
            "see the log of the process that hosts it"
        )


def _prompt(request: ReplayRequest) -> "TokensInput":
    from vllm.inputs import tokens_input  # noqa: PLC0415

    if request.cache is None:
        return tokens_input(list(request.tokens))
    placeholders = [_PLACEHOLDER] * request.cache.length
    return tokens_input([*placeholders, *request.tokens], cache_salt=_salt(request.cache))


def _salt(cache: StoredKv) -> str:
    """Of a cache and its very bytes: one made again may be rounded otherwise."""
    return f"{cache.kv_episode_id}:{cache.checksum}"


def _sampling(request: ReplayRequest) -> "SamplingParams":
    from vllm import SamplingParams  # noqa: PLC0415
    from vllm.sampling_params import RequestOutputKind  # noqa: PLC0415

    extra: dict[str, Any] = {}
    if request.cache is not None:
        extra["kv_transfer_params"] = {
            "file": str(request.cache.path.resolve()),
            "checksum": request.cache.checksum,
            "length": request.cache.length,
        }
    return SamplingParams(
        temperature=0.0,
        max_tokens=request.max_tokens,
        detokenize=False,
        output_kind=RequestOutputKind.DELTA,
        extra_args=extra,
    )


async def _drained(outputs: AsyncIterator[Any]) -> tuple[list[int], str, float]:
    """All tokens, why they ended, and when the first one came."""
    tokens: list[int] = []
    reason, first = "", 0.0
    async for output in outputs:
        first = first or time.perf_counter()
        tokens += output.outputs[0].token_ids
        reason = output.outputs[0].finish_reason or reason
    return tokens, reason, first
