"""The language models of a run, each behind a gateway; one budget and one journal for all."""

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import stamina.instrumentation

from jobs.errors import UsageError
from operators.llm.budget import Budget
from operators.llm.call import Answer, Request
from operators.llm.engines.base import Engine
from operators.llm.engines.openai_endpoint import OpenAiEngine
from operators.llm.gateway import REMEMBERED, Gateway
from operators.llm.journal import AnswerJournal
from operators.llm.spec import AnyLlm, OpenAiLlm, Price, VllmLlm
from pipelines.plan import Plan

ANSWERS_DIR = "answers"
"""Folder below the journals: answers of language models that are not committed yet."""

OpenVllm = Callable[[VllmLlm], Awaitable[Engine]]


@dataclass(frozen=True)
class Limits:
    """What a run may spend: tokens sent and received, US dollars; None is no limit."""

    max_tokens: int | None = None
    max_cost: float | None = None


NO_LIMITS = Limits()


def check_limits(plan: Plan, limits: Limits) -> None:
    """Pass, if the limits can be kept.

    Raises:
        UsageError: the plan calls no language model, or none that has a price.
    """
    if limits == NO_LIMITS:
        return
    llms = llms_of(plan)
    if not llms:
        raise UsageError(
            f"--max-tokens and --max-cost: no step of pipeline '{plan.name}' calls a language "
            "model; leave them out"
        )
    if limits.max_cost is not None and all(llm.price == Price() for llm in llms):
        names = ", ".join(sorted({llm.model for llm in llms}))
        raise UsageError(
            f"--max-cost: {names} has no price, so all calls would count as free. Declare it in "
            "the pipeline, in US dollars per million tokens (price: {input: 0.10, output: "
            "0.40}), or give --max-tokens"
        )


def llms_of(plan: Plan) -> list[AnyLlm]:
    """The models that the steps of a plan name, each once."""
    parts = [part for step in plan.steps for part in step.operator.llm_parts().values()]
    return list({part.llm.key: part.llm for part in parts}.values())


class Gateways:
    """Answers the calls of many steps and slices; lives in one event loop.

    Args:
        journal: folder of the journal; None keeps none.
        limits: what may be spent, all models together.
        open_vllm: starts the engine of a vLLM model, when it is first needed.
    """

    def __init__(self, journal: Path | None, limits: Limits, open_vllm: OpenVllm) -> None:
        # Its log of a retry shows the arguments of the call: what people said.
        stamina.instrumentation.set_on_retry_hooks(())
        self._budget = Budget(limits.max_tokens, limits.max_cost)
        self._journal: AnswerJournal | None = None
        if journal is not None:
            name = f"{os.getpid()}-{os.urandom(4).hex()}"
            self._journal = AnswerJournal(journal / ANSWERS_DIR, name)
        self._open_vllm = open_vllm
        self._gateways: dict[str, Gateway] = {}
        self._engines: dict[str, _Lazy] = {}
        self._remembered: list[Answer] = []

    def remember(self, answers: Iterable[Answer]) -> None:
        """Take recorded answers in, before the first call: they are not asked for again."""
        self._remembered += answers

    async def start(self, llms: Sequence[AnyLlm]) -> None:
        """Start the engines now, not with the first call."""
        for llm in llms:
            self._gateway(llm)
        await asyncio.gather(*(self._engines[llm.key].start() for llm in llms))

    async def generate(self, llm: AnyLlm, requests: Sequence[Request]) -> list[Answer]:
        """Answers in order; see `Gateway.generate`."""
        return await self._gateway(llm).generate(list(requests))

    async def close(self) -> None:
        """End the engines."""
        await asyncio.gather(*(engine.close() for engine in self._engines.values()))

    def spent(self) -> Mapping[str, float]:
        """Calls, tokens and cost so far, over all models."""
        total: Counter[str] = Counter()
        for gateway in self._gateways.values():
            for name, count in gateway.spent().items():
                total[name] += count  # pyright: ignore[reportArgumentType]
        return dict(total)

    def _gateway(self, llm: AnyLlm) -> Gateway:
        known = self._gateways.get(llm.key)
        if known is None:
            engine = self._engines[llm.key] = self._engine(llm)
            known = Gateway(llm, engine, self._journal, self._budget, self._room())
            known.remember(self._remembered)
            self._gateways[llm.key] = known
        return known

    def _room(self) -> int:
        """Answers that a gateway keeps: all from before, or the oldest would be paid again."""
        journaled = sum(1 for _ in self._journal.load()) if self._journal else 0
        return REMEMBERED + len(self._remembered) + journaled

    def _engine(self, llm: AnyLlm) -> "_Lazy":
        if isinstance(llm, OpenAiLlm):
            return _Lazy(lambda: _endpoint(llm))
        return _Lazy(lambda: self._open_vllm(llm))


async def _endpoint(llm: OpenAiLlm) -> Engine:
    return OpenAiEngine(llm)


class _Lazy(Engine):
    """An engine that starts when it is first asked."""

    def __init__(self, open_engine: Callable[[], Awaitable[Engine]]) -> None:
        self._open = open_engine
        self._engine: Engine | None = None
        self._starting = asyncio.Lock()

    async def start(self) -> Engine:
        """The engine, running."""
        async with self._starting:
            if self._engine is None:
                self._engine = await self._open()
        return self._engine

    async def complete(self, request: Request, call_id: str) -> Answer:
        engine = self._engine or await self.start()
        return await engine.complete(request, call_id)

    async def close(self) -> None:
        if self._engine is not None:
            await self._engine.close()
