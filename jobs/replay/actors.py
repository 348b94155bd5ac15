"""Engines as Ray actors: the questions of a cache go to one of them."""

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import ray
from ray.exceptions import RayActorError, RayTaskError

from jobs.errors import EngineError, UsageError
from jobs.replay.engines import EngineName, local_engine
from operators.replay.engines.base import (
    ReplayAnswer,
    ReplayEngine,
    ReplayEngineError,
    ReplayRequest,
)
from operators.replay.kv_header import KvStoreError
from operators.replay.spec import ReplaySpec


class EngineActor:
    """Ray actor body: one engine in its process."""

    def __init__(self, spec: ReplaySpec, name: EngineName) -> None:
        self._spec = spec
        self._name: EngineName = name
        self._engine: ReplayEngine | None = None

    def ready(self) -> str:
        """Fingerprint of the model, once it is loaded.

        Raises:
            ReplayEngineError: it cannot be loaded.
        """
        return self._opened().fingerprint

    def answer(self, requests: Sequence[ReplayRequest]) -> list[ReplayAnswer]:
        """Answers in order."""
        return self._opened().answer(requests)

    def close(self) -> None:
        """End the engine's own processes."""
        if self._engine is not None:
            self._engine.close()

    def _opened(self) -> ReplayEngine:
        """Not in the constructor: an error there reaches nobody but as a traceback."""
        if self._engine is None:
            if self._name == "transformers":
                _share_cores(self._spec.actors)
            self._engine = local_engine(self._spec, self._name)
        return self._engine


class EngineActors:
    """`spec.actors` engines with `spec.gpus` each, as one `ReplayEngine`.

    Needs a Ray that this process is connected to. Tensor files are read where the actors run:
    on a cluster, the warehouse is a folder that all nodes share. An actor that dies is started
    again and repeats its call.
    """

    def __init__(self, spec: ReplaySpec, name: EngineName) -> None:
        """Start the actors and wait until all have loaded the model.

        Raises:
            ReplayEngineError, EngineError: one cannot.
            UsageError: more GPUs than there are.
        """
        _check_gpus(spec)
        one_node = sum(bool(node["Alive"]) for node in ray.nodes()) == 1
        remote: Any = ray.remote(EngineActor)
        actor = remote.options(
            num_cpus=0 if one_node else 1,
            num_gpus=spec.gpus,
            max_restarts=3,
            max_task_retries=3,
        )
        self._actors = [actor.remote(spec, name) for _ in range(spec.actors)]
        try:
            self._fingerprint = _results([one.ready.remote() for one in self._actors])[0]
        except BaseException:
            self.close()
            raise

    @property
    def fingerprint(self) -> str:
        """Of model, tokenizer and weights, as the first actor has them."""
        return self._fingerprint

    def answer(self, requests: Sequence[ReplayRequest]) -> list[ReplayAnswer]:
        """Answers in order; the actors work side by side.

        Raises:
            ReplayEngineError, KvStoreError: as the engine says.
            EngineError: an actor died and does not start again.
        """
        shares = [share for share in dealt(requests, len(self._actors)) if share]
        pending = [
            actor.answer.remote([requests[number] for number in share])
            for actor, share in zip(self._actors, shares, strict=False)
        ]
        answers: dict[int, ReplayAnswer] = {}
        for share, found in zip(shares, _results(pending), strict=True):
            answers |= zip(share, found, strict=True)
        return [answers[number] for number in range(len(requests))]

    def close(self) -> None:
        """End the actors; may be called twice."""
        actors, self._actors = self._actors, []
        for actor in actors:
            with suppress(Exception):  # it is ended in any case
                ray.get(actor.close.remote(), timeout=30)
            ray.kill(actor)


def dealt(requests: Sequence[ReplayRequest], hands: int) -> list[list[int]]:
    """Numbers of the requests for each of `hands` engines, those of one cache together.

    Largest group first, to the engine that has least; ties go by id, then to the first engine.
    Requests without a cache are groups of their own.
    """
    groups: dict[str, list[int]] = {}
    for number, request in enumerate(requests):
        name = request.cache.kv_episode_id if request.cache else f"none-{number:09}"
        groups.setdefault(name, []).append(number)
    out: list[list[int]] = [[] for _ in range(hands)]
    for _, group in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        min(out, key=len).extend(group)
    return out


def _results(pending: Sequence[Any]) -> list[Any]:
    with _own_words():
        return ray.get(list(pending))


@contextmanager
def _own_words() -> Generator[None]:
    """Errors of an actor as it raised them, without Ray's traceback."""
    try:
        yield
    except RayActorError as error:
        raise EngineError(
            f"replay: an actor died and does not start again ({type(error).__name__}); the "
            "machine may be short of memory. Take fewer --actors"
        ) from error
    except RayTaskError as error:
        cause = error.cause
        if isinstance(cause, KvStoreError | ReplayEngineError | EngineError):
            raise type(cause)(*cause.args) from None
        raise EngineError(f"replay: an actor failed: {cause}") from error


def _check_gpus(spec: ReplaySpec) -> None:
    there = ray.cluster_resources().get("GPU", 0.0)
    if spec.gpus * spec.actors > there:
        raise UsageError(
            f"replay: {spec.actors} actors with {spec.gpus:g} GPUs each are asked for, and Ray "
            f"has {there:g} here. Lower `actors` or `gpus`, or give a cluster with --address"
        )


def _share_cores(actors: int) -> None:
    """Ray sets one thread for tasks without CPUs; actors share the machine evenly instead."""
    import torch  # noqa: PLC0415 - seconds

    torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // max(1, actors)))
