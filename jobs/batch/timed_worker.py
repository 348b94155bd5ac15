"""Slice workers that also count the time each step takes."""

import time
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from ray import ObjectRef

from jobs.batch.workers import SliceReport, SliceWorker, WorkerSetup
from operators.base import Cost, Key, Models, Operator, StepResult, Tables
from pipelines.plan import PlanStep
from transforms.diff import ChangeSet
from transforms.frame import Conversation

MILLISECONDS = "milliseconds"
"""Counter of a step: time in its operator, added up over all workers."""

WHOLE_SLICES = "slices"
"""Counter, no step: the time of whole slices, with reading what is recorded and comparing."""


class _Clock:
    """Seconds by step in this process: Beam pickles steps, so a step cannot carry its own."""

    seconds: ClassVar[defaultdict[str, float]] = defaultdict(float)


class _TimedOperator(Operator, frozen=True):
    """An operator under a stop-watch."""

    step: str
    inner: Operator

    def run(self, tables: Tables, models: Models) -> StepResult:
        """What the operator computes."""
        start = time.perf_counter()
        try:
            return self.inner.run(tables, models)
        finally:
            _Clock.seconds[self.step] += time.perf_counter() - start


@dataclass(frozen=True)
class _TimedStep(PlanStep):
    """A step with a timed operator; all that is declared of it is as it was."""

    declared: PlanStep

    @property
    def reads(self) -> tuple[str, ...]:
        return self.declared.reads

    @property
    def writes(self) -> tuple[str, ...]:
        return self.declared.writes

    @property
    def key(self) -> Key:
        return self.declared.key

    @property
    def cost(self) -> Cost:
        return self.declared.cost


def _timed(step: PlanStep) -> PlanStep:
    operator = _TimedOperator(operator=step.operator.operator, step=step.id, inner=step.operator)
    return _TimedStep(
        step.id, operator, step.upstream, step.fingerprint, step.chained_fingerprint, step
    )


class TimedSliceWorker(SliceWorker):
    """Ray actor body: a slice worker whose reports tell the milliseconds of each step."""

    def __init__(self, setup: WorkerSetup, embedders: list[str]) -> None:
        steps = tuple(_timed(step) for step in setup.plan.steps)
        super().__init__(replace(setup, plan=replace(setup.plan, steps=steps)), embedders)
        if self._recorded is not None:  # All workers open it at once, and before the clock runs.
            self._recorded.read_table("stamps", conversations=[])

    def build(
        self,
        blocks: list[ObjectRef[Any]],
        conversations: list[Conversation],
        messages: int,
        chars: int,
    ) -> tuple[SliceReport, tuple[ChangeSet, ...]]:
        """As a slice worker does, with the time of each step among the counters."""
        _Clock.seconds.clear()
        start = time.perf_counter()
        report, changes = super().build(blocks, conversations, messages, chars)
        _Clock.seconds[WHOLE_SLICES] = time.perf_counter() - start
        counters = {step: dict(counts) for step, counts in report.counters.items()}
        for step, seconds in _Clock.seconds.items():
            counters.setdefault(step, {})[MILLISECONDS] = round(seconds * 1000)
        return replace(report, counters=counters), changes
