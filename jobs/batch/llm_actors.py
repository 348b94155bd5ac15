"""Language models as Ray actors: one gateway a run, and the engines behind it."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayActorError, RayTaskError

from jobs.llm_gateways import Gateways, Limits, llms_of
from operators.llm.call import Answer, Request
from operators.llm.engines.base import Engine, EngineDownError
from operators.llm.errors import ModelUnavailableError
from operators.llm.spec import AnyLlm, VllmLlm
from pipelines.plan import Plan
from schemas.ids import content_hash

_GATEWAY_CALLS = 10_000
"""Calls of `generate` that the gateway may hold at once: one of each slice worker."""

_DEAD = 1
"""Exit code of an actor whose engine died: Ray starts it again and repeats its calls."""


class VllmActor:
    """Ray actor body: one vLLM engine. It ends with its engine, so that Ray starts both again."""

    def __init__(self, llm: VllmLlm) -> None:
        from operators.llm.engines.vllm_engine import VllmEngine  # noqa: PLC0415

        self._engine = VllmEngine(llm)

    async def ready(self) -> bool:
        """True once the model is loaded."""
        return True

    async def complete(self, request: Request, call_id: str) -> Answer:
        """The answer to one call."""
        try:
            return await self._engine.complete(request, call_id)
        except EngineDownError:
            os._exit(_DEAD)


class VllmReplicas(Engine):
    """vLLM engines in Ray actors; calls of one conversation go to one of them.

    Their prompts have most in common, so that is where the prefix cache hits.
    """

    def __init__(self, replicas: Sequence[Any]) -> None:
        self._replicas = list(replicas)

    async def complete(self, request: Request, call_id: str) -> Answer:
        """The answer of the replica that this conversation is with.

        Raises:
            EngineDownError: it died and could not be started again.
        """
        group = content_hash("replica", request.tenant, request.conversation_id)
        replica = self._replicas[int(group[:8], 16) % len(self._replicas)]
        try:
            return await replica.complete.remote(request, call_id)
        except RayActorError as error:
            raise EngineDownError(f"a vLLM actor died and does not start: {error}") from error

    async def close(self) -> None:
        """End the engines."""
        for replica in self._replicas:
            ray.kill(replica)


async def _start_replicas(llm: VllmLlm) -> Engine:
    remote: Any = ray.remote(VllmActor)
    actor = remote.options(
        num_cpus=llm.cpus,
        num_gpus=llm.gpus,
        max_restarts=10,
        max_task_retries=10,
        max_concurrency=llm.max_in_flight * 2,
    )
    replicas = [actor.remote(llm) for _ in range(llm.replicas)]
    for replica in replicas:
        await replica.ready.remote()
    return VllmReplicas(replicas)


class GatewayActor:
    """Ray actor body: the gateways of a run."""

    def __init__(self, journal: str, limits: Limits) -> None:
        self._gateways = Gateways(Path(journal), limits, _start_replicas)

    async def ready(self, llms: Sequence[AnyLlm]) -> bool:
        """True once the engines have started."""
        await self._gateways.start(llms)
        return True

    async def generate(self, llm: AnyLlm, requests: list[Request]) -> list[Answer]:
        """Answers in order."""
        return await self._gateways.generate(llm, requests)

    async def spent(self) -> Mapping[str, float]:
        """Calls, tokens and cost so far."""
        return self._gateways.spent()


class LlmActors:
    """The gateway of a run; nothing is started for a plan without a language model."""

    def __init__(self, plan: Plan, journal: Path, limits: Limits) -> None:
        self._llms = llms_of(plan)
        self.name: str | None = None
        self._actor: Any = None
        if self._llms:
            # Names are unique in a Ray session, and another build may run in it.
            self.name = f"llm-gateway-{os.urandom(4).hex()}"
            remote: Any = ray.remote(GatewayActor)
            actor = remote.options(
                name=self.name,
                num_cpus=0,
                max_restarts=10,
                max_task_retries=10,
                max_concurrency=_GATEWAY_CALLS,
            )
            self._actor = actor.remote(str(journal), limits)

    def starting(self) -> list[Any]:
        """References that are ready once the engines are."""
        return [] if self._actor is None else [self._actor.ready.remote(self._llms)]

    def spent(self) -> Mapping[str, float]:
        """Calls, tokens and cost of this run so far."""
        return {} if self._actor is None else ray.get(self._actor.spent.remote())


def ask_gateway(gateway: Any, llm: AnyLlm, requests: Sequence[Request]) -> list[Answer]:
    """Answers of the gateway actor, for a slice worker.

    Raises:
        ModelUnavailableError, BudgetReachedError: as the gateway says.
    """
    try:
        return ray.get(gateway.generate.remote(llm, list(requests)))
    except RayActorError as error:
        raise ModelUnavailableError(f"the gateway to the model died: {error}") from error
    except RayTaskError as error:
        cause = error.cause
        if isinstance(cause, ModelUnavailableError):
            raise type(cause)(*cause.args) from None
        raise
