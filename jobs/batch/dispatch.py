"""Hands slices to workers and takes what they built, until every slice is done."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import ray
from ray.exceptions import RayError

from jobs.batch.committer import Committer
from jobs.batch.crew import Crew
from jobs.batch.losses import Lost, in_short, lost_with
from jobs.batch.progress import Progress
from jobs.batch.ray_failures import build_failure
from jobs.batch.reading import Partitioned
from jobs.batch.slices import Slice
from jobs.batch.workers import SliceReport
from jobs.errors import EngineError
from operators.llm.errors import BudgetReachedError

_LOSSES = 4
"""How often one slice may be lost before it is held to be the reason."""


class Dispatch:
    """Every worker has one slice at a time; finished change sets are committed meanwhile.

    Nothing is queued behind a busy worker, and while a commit is written no other slice is
    handed out: that is the back-pressure which bounds the object store.

    What is lost is done again: a slice whose worker went, or whose change set did, is handed
    to another worker, and messages that were on a node that went are read again.

    Args:
        crew: the workers.
        slices: what is to be built, in this order.
        read_again: reads the messages of these buckets.
        committer: takes what is finished; what is not committed when the build fails is then.
        progress: is told.
    """

    def __init__(
        self,
        crew: Crew,
        slices: Sequence[Slice],
        read_again: Callable[[Collection[int]], Partitioned],
        committer: Committer,
        progress: Progress,
    ) -> None:
        self._crew = crew
        self._waiting = list(reversed(slices))
        self._read_again = read_again
        self._committer = committer
        self._progress = progress
        self._running: dict[Any, tuple[Any, Any, Slice]] = {}
        self._objects_lost = False

    def run(self) -> None:
        """Build all slices.

        Once a budget is used up no slice is handed out any more; those under way end, either way.

        Raises:
            EngineError: a slice cannot be built, or there is nobody to do it.
        """
        try:
            while self._running or self._more:
                self._hand_out()
                self._committer.commit_if_due()  # While the workers work.
                self._collect()
                self._progress.tick()
        except EngineError:
            self._committer.commit_pending()
            raise

    @property
    def _more(self) -> bool:
        return bool(self._waiting) and not self._committer.report.stopped

    def _hand_out(self) -> None:
        self._crew.join()
        if self._more and not self._running:
            self._crew.wait_for_one()
        while self._more and (worker := self._crew.take()) is not None:
            if self._objects_lost:
                self._crew.give_back(worker)
                self._refill()
                continue
            piece = self._waiting.pop()
            report, changes = worker.build.options(num_returns=2).remote(
                piece.blocks, piece.conversations, piece.messages, piece.chars, piece.parts
            )
            self._running[report] = (worker, changes, piece)

    def _refill(self) -> None:
        """Whatever of the input is still needed is read again: nobody knows what else is lost."""
        self._objects_lost = False
        wanted = {bucket for piece in self._waiting for bucket in piece.buckets}
        for piece in self._waiting:
            piece.blocks = []  # What is left of them need not be kept.
        read = self._read_again(wanted)
        for piece in self._waiting:
            piece.refill(read.partitions)

    def _collect(self) -> None:
        if not self._running:
            return
        done, _ = ray.wait(list(self._running), num_returns=1, timeout=1.0)
        for reference in done:
            worker, changes, piece = self._running.pop(reference)
            try:
                report: SliceReport = ray.get(reference)
            except RayError as error:
                self._failed(error, worker, piece)
                continue
            self._crew.give_back(worker)
            try:
                finished = ray.get(changes)
            except RayError as error:
                self._lost(error, piece)
                continue
            # The slice stays with whoever cut it: what it was built from is of no use any more.
            piece.blocks, piece.parts = [], []
            self._committer.add(finished)
            self._committer.report.add(report.counters)
            self._committer.report.slices += 1
            self._progress.advance(report.messages, report.chars, report.counters)

    def _failed(self, error: RayError, worker: Any, piece: Slice) -> None:
        lost = lost_with(error)
        if lost is Lost.WORKER:
            self._crew.replace(worker)
        else:
            self._crew.give_back(worker)
        if lost is None:
            failure = build_failure(error, "a slice could not be built")
            if not isinstance(failure, BudgetReachedError):
                raise failure from error
            self._committer.report.stopped = str(failure)
            return
        self._objects_lost |= lost is Lost.OBJECTS
        self._lost(error, piece)

    def _lost(self, error: RayError, piece: Slice) -> None:
        """It is built again; what was answered for it is not asked again."""
        if lost_with(error) is None:
            raise EngineError(f"a slice could not be built: {in_short(error)}") from error
        piece.losses += 1
        if piece.losses >= _LOSSES:
            raise EngineError(
                f"a slice of {_size(piece)} was lost {piece.losses} times while it was built, "
                f"the last time with {in_short(error)}. "
                "If nodes run out of memory, lower --workers or runtime.slice_chars. What is "
                "finished is committed: run again to go on"
            ) from error
        self._waiting.append(piece)
        self._progress.lost(f"a slice was lost ({in_short(error)}): it is built again")


def _size(piece: Slice) -> str:
    """For people; what parts have taken from a slice is no longer counted in it."""
    own = f"{piece.messages:,} messages ({piece.chars:,} characters)"
    parts = len(piece.parts)
    return f"{own} and {parts} finished parts of long conversations" if parts else own
