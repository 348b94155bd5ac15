"""The stream's builders: Ray actors, and which of them are at work."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import ray
from ray.exceptions import RayError

from jobs.batch.llm_actors import LlmActors
from jobs.batch.models import embedder_counts, start_embedders
from jobs.batch.ray_failures import build_failure, start_reason
from jobs.batch.workers import WorkerSetup, start_workers
from jobs.embedding_models import shared_models
from jobs.errors import EngineError
from jobs.llm_gateways import NO_LIMITS, Limits
from jobs.stream.workers import Known, Piece, StreamWorker
from jobs.worker_count import embedder_count
from operators.llm.errors import BudgetReachedError
from pipelines.plan import Plan
from transforms.diff import ChangeSet
from transforms.warehouse.connection import JOURNAL_DIR, Warehouse

_REMEMBERED = 20_000
"""Vectors an embedder keeps in memory (30 MB): a stream lives long, and repeats are recent."""

Counters = dict[str, dict[str, int]]


class Builders(Protocol):
    """Those who build pieces, a piece each at a time."""

    @property
    def idle(self) -> Sequence[int]:
        """Numbers of those without work."""
        ...

    @property
    def busy(self) -> int:
        """How many are at work."""
        ...

    def wait_ready(self) -> None:
        """Until all have started."""
        ...

    def tell(self, known: Known) -> None:
        """What pieces from now on are built against."""
        ...

    def counts(self) -> Mapping[str, int]:
        """Model calls answered and remembered, for the report."""
        ...

    def spent(self) -> Mapping[str, float]:
        """Calls, tokens and cost of language models, for the report."""
        ...

    def start(self, builder: int, piece: Piece) -> None:
        """Hand a piece to an idle one."""
        ...

    def finished(self, timeout: float) -> Iterator[tuple[Piece, Counters, tuple[ChangeSet, ...]]]:
        """Pieces that have been built; waits up to `timeout` seconds for the first."""
        ...


class RayBuilders:
    """Stream workers, with the embedders and language models behind them, as Ray actors."""

    def __init__(
        self,
        warehouse: Warehouse,
        plan: Plan,
        workers: int,
        known: Known,
        limits: Limits = NO_LIMITS,
    ) -> None:
        journal = warehouse.path / JOURNAL_DIR
        count = embedder_count(plan, workers)
        self._embedders = start_embedders(shared_models(plan.steps), count, journal, _REMEMBERED)
        self._llms = LlmActors(plan, journal, limits)
        setup = WorkerSetup(
            plan, warehouse.path, known.tombstones, known.open_failures, self._llms.name
        )
        self._workers = start_workers(workers, setup, list(self._embedders), StreamWorker)
        self._idle = set(range(len(self._workers)))
        self._running: dict[Any, tuple[int, Any, Piece]] = {}
        self.tell(known)

    def wait_ready(self) -> None:
        """Until all actors have started.

        Raises:
            EngineError: one does not start.
        """
        try:
            actors = [*self._embedders.values(), *self._workers]
            ray.get([*(actor.ready.remote() for actor in actors), *self._llms.starting()])
        except RayError as error:
            reason = start_reason(error) or str(error)
            raise EngineError(f"the stream's workers do not start: {reason}") from error

    @property
    def idle(self) -> Sequence[int]:
        """Workers without work."""
        return sorted(self._idle)

    @property
    def busy(self) -> int:
        """Workers at work."""
        return len(self._running)

    def tell(self, known: Known) -> None:
        """What pieces from now on are built against."""
        self._known = ray.put(known)

    def counts(self) -> Mapping[str, int]:
        """Texts the embedders computed and texts they remembered."""
        return embedder_counts(self._embedders)

    def spent(self) -> Mapping[str, float]:
        """Calls, tokens and cost of language models."""
        return self._llms.spent()

    def start(self, builder: int, piece: Piece) -> None:
        """Hand a piece to an idle worker."""
        self._idle.remove(builder)
        call = self._workers[builder].build_piece.options(num_returns=2)
        counters, changes = call.remote(piece, [self._known])
        self._running[counters] = (builder, changes, piece)

    def finished(self, timeout: float) -> Iterator[tuple[Piece, Counters, tuple[ChangeSet, ...]]]:
        """Pieces that have been built; waits up to `timeout` seconds for the first.

        Raises:
            EngineError: a piece cannot be built.
            BudgetReachedError: nor this one, until there is another budget.
        """
        if not self._running:
            return
        done, _ = ray.wait(list(self._running), num_returns=1, timeout=timeout)
        if done and len(self._running) > 1:
            done, _ = ray.wait(list(self._running), num_returns=len(self._running), timeout=0)
        for ref in done:
            builder, changes, piece = self._running.pop(ref)
            try:
                counters: Counters = ray.get(ref)
                built: tuple[ChangeSet, ...] = ray.get(changes)
            except RayError as error:
                failure = build_failure(error, "new messages could not be built")
                if isinstance(failure, BudgetReachedError):
                    self._idle.add(builder)
                raise failure from error
            self._idle.add(builder)
            yield piece, counters, built
