"""The slice workers of a build: who is there, who is on the way, and who stands in for the lost.

Ray does not restart them: a call to one that is gone fails at once and the build knows what
became of its slice, whether a process was killed or a node. A new one takes its place, where
the cluster has room for it or as soon as it has; until then the others do the work.
"""

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from jobs.batch.losses import in_short, lost_with
from jobs.batch.ray_failures import start_reason
from jobs.batch.ray_session import LOOPBACK
from jobs.errors import EngineError

_LATE_SECONDS = 60.0
"""Once the first worker is there: longer is not waited for the others, they join later."""

_NOBODY_SECONDS = 900.0
"""An autoscaler may take minutes to start a node."""

_TOLD_SECONDS = 30.0
_STARTS_IN_VAIN = 3
"""Starts that may fail for each worker before one succeeds."""


class Crew:
    """Slice workers, of which some may be idle, at work, or still starting.

    Args:
        hire: starts a worker; may return before it is up.
        count: how many.
        say: tells the user.
    """

    def __init__(self, hire: Callable[[], Any], count: int, say: Callable[[str], None]) -> None:
        self._hire = hire
        self._say = say
        self._count = count
        self._idle: list[Any] = []
        self._starting: dict[Any, Any] = {}
        self._in_vain = 0
        for _ in range(count):
            self._start(hire())

    def wait_ready(self, models: Sequence[Any]) -> None:
        """Until the models are there and all workers; late ones are left to join later.

        Args:
            models: references that are ready once the models are.

        Raises:
            EngineError: something does not start.
        """
        self._wait_for_models(list(models))
        self.wait_for_one()
        late = time.monotonic() + _LATE_SECONDS
        while self._starting and time.monotonic() < late:
            self.join(1.0)
        if self._starting:
            self._say(
                f"{len(self._idle)} of {self._count} slice workers are there, the others join "
                "as the cluster has room for them"
            )

    def take(self) -> Any | None:
        """An idle worker, to be given work; None where all are busy."""
        return self._idle.pop() if self._idle else None

    def take_all(self) -> list[Any]:
        """All idle workers."""
        taken, self._idle = self._idle, []
        return taken

    def give_back(self, *workers: Any) -> None:
        """They are idle again."""
        self._idle.extend(workers)

    def replace(self, worker: Any) -> None:
        """A worker is lost, or of no use any more: another is started.

        Where a node went, others went with it: those that are idle have to answer first.
        """
        # It may be on a node that is not reached any more, and come back.
        with contextlib.suppress(RayError, ValueError):
            ray.kill(worker)
        for idle in self.take_all():
            self._start(idle)
        self._start(self._hire())

    def join(self, seconds: float = 0.0) -> None:
        """Take in who has started; waits so long for the first.

        Raises:
            EngineError: they do not start, for a reason that stays.
        """
        if not self._starting:
            return
        ready, _ = ray.wait(list(self._starting), num_returns=1, timeout=seconds)
        if ready and len(self._starting) > 1:
            ready, _ = ray.wait(list(self._starting), num_returns=len(self._starting), timeout=0)
        for reference in ready:
            worker = self._starting.pop(reference)
            try:
                ray.get(reference)
            except RayError as error:
                self._failed(worker, error)
            else:
                self._in_vain = 0
                self._idle.append(worker)

    def wait_for_one(self) -> None:
        """Until a worker is idle; to be called while none is at work.

        Raises:
            EngineError: none starts.
        """
        self._wait(lambda: bool(self._idle), self.join, "a slice worker")

    def _start(self, worker: Any) -> None:
        self._starting[worker.ready.remote()] = worker

    def _failed(self, worker: Any, error: RayError) -> None:
        self._in_vain += 1
        if lost_with(error) is None or self._in_vain > _STARTS_IN_VAIN * self._count:
            raise EngineError(f"a slice worker does not start: {_reason(error)}") from error
        with contextlib.suppress(RayError, ValueError):
            ray.kill(worker)
        self._start(self._hire())

    def _wait_for_models(self, models: list[Any]) -> None:
        def look(seconds: float) -> None:
            ready, models[:] = ray.wait(models, num_returns=len(models), timeout=seconds)
            try:
                ray.get(ready)
            except RayError as error:
                reason = start_reason(error) or f"a model does not start: {_reason(error)}"
                raise EngineError(reason) from error

        if models:
            self._wait(lambda: not models, look, "the models")

    def _wait(self, done: Callable[[], bool], look: Callable[[float], None], what: str) -> None:
        began = told = time.monotonic()
        while not done():
            look(1.0)
            now = time.monotonic()
            if now - began > _NOBODY_SECONDS:
                raise EngineError(f"{what} could not be started in {now - began:.0f} s: {_room()}")
            if now - told > _TOLD_SECONDS:
                told = now
                self._say(f"waiting for {what}: {_room()}")


def _reason(error: RayError) -> str:
    """Why a process did not start: the last line of its traceback says it."""
    if isinstance(error, RayTaskError):
        return str(error.cause)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if isinstance(error, RayActorError) and error.actor_init_failed and lines:
        return (
            f"{lines[-1]}. All nodes need memoryflow's libraries, in the versions of this one, and "
            "its models"
        )
    return in_short(error)


def _room() -> str:
    """What is waited for, for people: a slow machine, or room in a cluster."""
    there, free = (r.get("CPU", 0.0) for r in (ray.cluster_resources(), ray.available_resources()))
    nodes = [node for node in ray.nodes() if node["Alive"]]
    if {node["NodeManagerAddress"] for node in nodes} == {LOOPBACK}:
        return (
            f"the processes start on this machine ({there:g} CPUs for Ray), slowly where others "
            "keep it busy; --workers asks for fewer"
        )
    count = "1 node" if len(nodes) == 1 else f"{len(nodes)} nodes"
    return (
        f"{count} with {there:g} CPUs, {free:g} of them free. Other jobs may hold the rest, "
        "or the cluster has to grow; --workers asks for fewer"
    )
