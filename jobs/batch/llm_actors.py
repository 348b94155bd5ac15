"""Language models as Ray actors: one gateway a run, and the engines behind it."""

import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayActorError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from jobs.batch.shared_folder import SharedFolder
from jobs.llm_gateways import NO_LIMITS, Gateways, Limits, check_limits, llms_of
from operators.llm.call import Answer, Request
from operators.llm.engines.base import CallFailedError, Engine, EngineDownError
from operators.llm.errors import ModelUnavailableError
from operators.llm.spec import AnyLlm, VllmLlm
from pipelines.plan import Plan
from schemas.ids import content_hash
from transforms.warehouse.staging import Staging

_GATEWAY_CALLS = 10_000
"""Calls of `generate` that the gateway may hold at once: one of each slice worker."""

_RESTARTS = 100
_CALL_RETRIES = 10

_DEAD = 1
"""Exit code of an actor whose engine died: Ray starts it again and repeats its calls."""


class VllmActor:
    """Ray actor body: one vLLM engine. It ends with its engine, so that Ray starts both again."""

    def __init__(self, llm: VllmLlm) -> None:
        from operators.llm.engines.vllm_engine import VllmEngine  # noqa: PLC0415

        self._engine: Engine | None = None
        self._reason = ""
        try:
            self._engine = VllmEngine(llm)
        except EngineDownError as error:
            # Told by `ready`: an error of a constructor reaches nobody but as a traceback.
            self._reason = str(error)

    async def ready(self) -> bool:
        """True once the model is loaded.

        Raises:
            EngineDownError: it cannot be loaded.
        """
        if self._engine is None:
            raise EngineDownError(self._reason)
        return True

    async def complete(self, request: Request, call_id: str) -> Answer:
        """The answer to one call."""
        if self._engine is None:
            os._exit(_DEAD)  # It had started before; perhaps it does so again.
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

    async def ready(self) -> None:
        """Until all have loaded the model.

        Raises:
            EngineDownError: one cannot.
        """
        for replica in self._replicas:
            with _own_words():
                await replica.ready.remote()

    async def complete(self, request: Request, call_id: str) -> Answer:
        """The answer of the replica that this conversation is with.

        Raises:
            CallFailedError: the engine gave up this call.
            EngineDownError: it died and could not be started again.
        """
        group = content_hash("replica", request.tenant, request.conversation_id)
        replica = self._replicas[int(group[:8], 16) % len(self._replicas)]
        with _own_words():
            return await replica.complete.remote(request, call_id)

    async def close(self) -> None:
        """End the engines."""
        for replica in self._replicas:
            ray.kill(replica)


@contextmanager
def _own_words() -> Generator[None]:
    """Errors of a replica as it raised them: Ray's hold its traceback, with ids and addresses.

    They go into dead letters, which must not depend on where a run ran.
    """
    try:
        yield
    except RayActorError as error:
        raise EngineDownError(
            f"a vLLM actor died and does not start again ({type(error).__name__}); the machine may "
            "be short of memory. See the log of the actor in Ray's folder for the reason"
        ) from error
    except RayTaskError as error:
        if isinstance(error.cause, EngineDownError | CallFailedError):
            raise type(error.cause)(str(error.cause)) from None
        raise


async def _start_replicas(llm: VllmLlm) -> Engine:
    one_node = sum(bool(node["Alive"]) for node in ray.nodes()) == 1
    if one_node:
        _check_gpus(llm, ray.cluster_resources().get("GPU", 0.0))
    remote: Any = ray.remote(VllmActor)
    actor = remote.options(
        # On a single node, slice workers and embedders have been given all logical CPUs: the
        # engine would wait for one for ever.
        num_cpus=0 if one_node else llm.cpus,
        num_gpus=llm.gpus,
        max_restarts=10,
        max_task_retries=10,
        max_concurrency=llm.max_in_flight * 2,
    )
    replicas = VllmReplicas([actor.remote(llm) for _ in range(llm.replicas)])
    await replicas.ready()
    return replicas


def _check_gpus(llm: VllmLlm, there: float) -> None:
    wanted = llm.gpus * llm.replicas
    if wanted > there:
        raise EngineDownError(
            f"model {llm.model} asks for {wanted:g} GPUs (`gpus` x `replicas`), and Ray has "
            f"{there:g} here. Lower them in the pipeline (`gpus: 0` is the CPU engine), or give "
            "a cluster with --address"
        )


class GatewayActor:
    """Ray actor body: the gateways of a run."""

    def __init__(self, journal: str, limits: Limits, staging: Staging | None = None) -> None:
        self._folder = SharedFolder(staging)
        self._gateways = Gateways(Path(journal), limits, _start_replicas)

    async def ready(self, llms: Sequence[AnyLlm]) -> bool:
        """True once the engines have started."""
        self._folder.require()
        await self._gateways.start(llms)
        return True

    async def generate(self, llm: AnyLlm, requests: list[Request]) -> list[Answer]:
        """Answers in order."""
        self._folder.require()
        return await self._gateways.generate(llm, requests)

    async def spent(self) -> Mapping[str, float]:
        """Calls, tokens and cost so far."""
        return self._gateways.spent()


class LlmActors:
    """The gateway of a run; nothing is started for a plan without a language model.

    It is on the driver's node: what it holds is the dearest to lose, and without the driver there
    is no run anyway.

    A gateway that dies is started again and finds its answers in the journal; but what it had
    spent is forgotten then, so one with a budget is not: the run ends, and can go on.

    Raises:
        UsageError: the limits do not fit the plan.
    """

    def __init__(
        self, plan: Plan, journal: Path, limits: Limits, staging: Staging | None = None
    ) -> None:
        check_limits(plan, limits)
        self._llms = llms_of(plan)
        self.name: str | None = None
        self._actor: Any = None
        if self._llms:
            # Names are unique in a Ray session, and another build may run in it.
            self.name = f"llm-gateway-{os.urandom(4).hex()}"
            restarts = _RESTARTS if limits == NO_LIMITS else 0
            here = ray.get_runtime_context().get_node_id()
            remote: Any = ray.remote(GatewayActor)
            actor = remote.options(
                name=self.name,
                num_cpus=0,
                max_restarts=restarts,
                max_task_retries=min(restarts, _CALL_RETRIES),
                max_concurrency=_GATEWAY_CALLS,
                scheduling_strategy=NodeAffinitySchedulingStrategy(here, soft=False),
            )
            self._actor = actor.remote(str(journal), limits, staging)

    def starting(self) -> list[Any]:
        """References that are ready once the engines are."""
        return [] if self._actor is None else [self._actor.ready.remote(self._llms)]

    def spent(self) -> Mapping[str, float]:
        """Calls, tokens and cost of this run so far; nothing, if the gateway is gone."""
        if self._actor is None:
            return {}
        try:
            return ray.get(self._actor.spent.remote())
        except RayActorError:
            return {}


def ask_gateway(gateway: Any, llm: AnyLlm, requests: Sequence[Request]) -> list[Answer]:
    """Answers of the gateway actor, for a slice worker.

    Raises:
        ModelUnavailableError, BudgetReachedError: as the gateway says. A fault of its own is
            one, too: it is none of the conversation that happens to ask.
    """
    try:
        return ray.get(gateway.generate.remote(llm, list(requests)))
    except RayActorError as error:
        raise ModelUnavailableError(
            f"the gateway to the model died ({type(error).__name__}). Run again: what was "
            "answered is kept"
        ) from error
    except RayTaskError as error:
        cause = error.cause
        if isinstance(cause, ModelUnavailableError):
            raise type(cause)(*cause.args) from None
        raise ModelUnavailableError(
            f"the gateway to the model failed with {type(cause).__name__}: {cause}"
        ) from error
