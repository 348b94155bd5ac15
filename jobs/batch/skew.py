"""Long conversations do not hold up a build: all workers build their sessions first.

A conversation is built in one place, since its canonical folds need all of it. Where one of
them holds a good share of all messages, one worker would be at work long after the others. So
it is cut into parts of about equal size, whoever is idle builds a part up to the folds, and the
slice of the conversation is handed what the parts came to (`pipelines.session_parts`). These
stay in the object store; the driver holds references.

Parts are a help and nothing rests on them: where one is lost, the build of the slice does its
work.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayError

from jobs.batch.crew import Crew
from jobs.batch.losses import Lost, in_short, lost_with
from jobs.batch.progress import Progress
from jobs.batch.ray_failures import build_failure
from jobs.batch.slices import SLICES_PER_WORKER, SMALLEST_SLICE_CHARS, Slice
from operators.llm.errors import BudgetReachedError
from pipelines.part_sizes import PartSizes
from pipelines.spec import RuntimeSpec

SKEW = "skew"
"""Counter, no step: long conversations' slices, their parts, and the workers at work on these."""

_LOSSES = 3
"""How often a part may be lost before its slice does its work."""


def split_long(
    crew: Crew, slices: Sequence[Slice], runtime: RuntimeSpec, workers: int, progress: Progress
) -> dict[str, dict[str, int]]:
    """Build the parts of the long conversations in `slices`; returns counters for the report.

    Afterwards `Slice.parts` holds what there is of them, and a slice's size what is left to do.
    One worker alone has nobody to share with.

    Raises:
        EngineError: a part cannot be built, for a reason that is not a loss.
    """
    long = [piece for piece in slices if piece.longest > runtime.split_messages]
    if not long or workers < 2:
        return {}
    sizes = PartSizes(
        runtime.split_messages,
        workers * SLICES_PER_WORKER,
        SMALLEST_SLICE_CHARS,
        runtime.slice_chars,
    )
    splitting = _Splitting(crew, long, sizes, progress)
    splitting.run()
    return splitting.counters()


@dataclass
class _Part:
    """A part to be built: where it is, what it shares with others, and its size."""

    piece: Slice
    part: Any
    shared: Any
    messages: int
    chars: int
    losses: int = 0


@dataclass
class _Cutting:
    """A worker cuts a slice; what it gives comes piece by piece (`SliceWorker.cut`)."""

    piece: Slice
    worker: Any
    items: list[Any] = field(default_factory=list[Any])

    def parts(self) -> list[_Part]:
        """All parts; none where the worker was lost before it had given the last.

        Raises:
            RayError: it failed.
        """
        sizes: list[tuple[int, int]] = ray.get(self.items[0])
        shared, *parts = self.items[1:-1] or [None]
        if len(parts) != len(sizes):
            return []
        return [_Part(self.piece, p, shared, *size) for p, size in zip(parts, sizes, strict=True)]


class _Splitting:
    """Whoever is idle cuts a slice, or builds a part."""

    def __init__(
        self, crew: Crew, long: Sequence[Slice], sizes: PartSizes, progress: Progress
    ) -> None:
        self._crew = crew
        self._uncut = list(reversed(long))
        self._sizes = sizes
        self._progress = progress
        self._cutting: dict[Any, _Cutting] = {}
        self._waiting: list[_Part] = []
        self._running: dict[Any, tuple[_Part, Any]] = {}
        self._counts: Counter[str] = Counter()
        self._workers: set[Any] = set()

    def run(self) -> None:
        """Until nothing is left to do."""
        while self._uncut or self._waiting or self._cutting or self._running:
            self._hand_out()
            going = [*self._cutting, *self._running]
            if not going:
                continue
            done, _ = ray.wait(going, num_returns=1, timeout=1.0, fetch_local=False)
            for reference in done:
                if reference in self._cutting:
                    self._take_cut(reference)
                else:
                    self._take_part(reference)
            self._progress.tick()

    def counters(self) -> dict[str, dict[str, int]]:
        """For the report."""
        if not self._counts:
            return {}
        return {SKEW: {**self._counts, "workers": len(self._workers)}}

    def _hand_out(self) -> None:
        self._crew.join()
        if not self._cutting and not self._running:
            self._crew.wait_for_one()
        while (self._waiting or self._uncut) and (worker := self._crew.take()) is not None:
            if self._uncut:
                piece = self._uncut.pop()
                # All are given at once: nobody waits for the driver to take them.
                stream = worker.cut.options(num_returns="streaming").remote(
                    piece.blocks, piece.conversations, self._sizes
                )
                self._cutting[stream] = _Cutting(piece, worker)
            else:
                part = self._waiting.pop(0)
                rows, done = worker.build_part.options(num_returns=2).remote(
                    [part.part], [part.shared]
                )
                self._running[done] = (part, (worker, rows))

    def _take_cut(self, stream: Any) -> None:
        cutting = self._cutting[stream]
        try:
            cutting.items.append(next(stream))
        except StopIteration:
            del self._cutting[stream]
            try:
                parts = cutting.parts()
            except RayError as error:
                self._failed(error, cutting.worker)
                return
            self._crew.give_back(cutting.worker)
            self._waiting += parts
            self._counts.update({"slices": 1} if parts else {})

    def _take_part(self, reference: Any) -> None:
        part, (worker, rows) = self._running.pop(reference)
        try:
            ray.get(reference)
        except RayError as error:
            lost = self._failed(error, worker)
            part.losses += 1
            if lost is Lost.WORKER and part.losses < _LOSSES:
                self._waiting.append(part)
            return
        self._crew.give_back(worker)
        self._workers.add(worker)
        part.piece.parts.append(rows)
        # Lines may be there twice: what is left is never less than nothing.
        messages, chars = min(part.messages, part.piece.messages), min(part.chars, part.piece.chars)
        self._counts.update({"parts": 1, "messages": part.messages})
        part.piece.messages -= messages
        part.piece.chars -= chars
        self._progress.advance(messages, chars, {})

    def _failed(self, error: RayError, worker: Any) -> Lost | None:
        """What was lost. Where a budget is used up, no more parts are built, nor slices then."""
        lost = lost_with(error)
        if lost is Lost.WORKER:
            self._crew.replace(worker)
        else:
            self._crew.give_back(worker)
        if lost is None:
            failure = build_failure(error, "a part of a conversation could not be built")
            if not isinstance(failure, BudgetReachedError):
                raise failure from error
            self._uncut, self._waiting = [], []
        else:
            self._progress.lost(f"a part of a conversation was lost ({in_short(error)})")
        return lost
