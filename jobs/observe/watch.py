"""A job under watch: its run id, log lines, lineage events and root span begin and end together."""

import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobs.observe.current import Run, at_run
from jobs.observe.datasets import Input, Written, written_since, written_so_far
from jobs.observe.lineage import Lineage
from jobs.observe.logs import note
from jobs.observe.spans import traced_run
from transforms.warehouse.connection import Warehouse


@dataclass
class Watch:
    """What a command tells of its job; with no `lineage` only log lines come of it.

    Attributes:
        run: the run's id and job.
        lineage: where events go; None for a run without.
        stopped: why it ended before everything was done: a budget.
    """

    run: Run
    lineage: Lineage | None = None
    stopped: str | None = None
    _warehouse: Warehouse | None = None
    _before: dict[str, int] = field(default_factory=dict[str, int])
    _written: list[Written] = field(default_factory=list[Written])

    @property
    def wants_inputs(self) -> bool:
        """Whether it is worth hashing the input."""
        return self.lineage is not None

    def started(self, inputs: Sequence[Input]) -> None:
        """The input is known."""
        if self.lineage is not None:
            self.lineage.start(inputs)

    @contextmanager
    def writing(self, warehouse: Warehouse) -> Generator[Warehouse]:
        """Rows that come into the warehouse meanwhile are the run's."""
        if self.lineage is None:
            yield warehouse
            return
        before = written_so_far(warehouse)
        try:
            yield warehouse
        finally:
            self._written = written_since(before, written_so_far(warehouse))

    def ended(self, report: Mapping[str, Any], stopped: str | None = None) -> None:
        """The job has returned."""
        self.stopped = stopped
        note("run.report", report=report)

    def complete(self) -> None:
        """For the events: in order, or by a budget."""
        if self.lineage is None:
            return
        if self.stopped is None:
            self.lineage.complete(self._written)
        else:
            self.lineage.abort(self._written, self.stopped)

    def broke(self, error: BaseException) -> None:
        """For the events: with an error, or interrupted."""
        if self.lineage is None:
            return
        if isinstance(error, Exception):
            self.lineage.fail(self._written, error)
        else:
            self.lineage.abort(self._written, "interrupted")


@contextmanager
def watched(
    job: str,
    pipeline: str,
    warehouse: Path,
    *,
    events: Path | None = None,
) -> Generator[Watch]:
    """Everything within is one run of `job`.

    Args:
        job: run, stream, consolidate or forget.
        pipeline: name, for the events.
        warehouse: folder, for the events.
        events: file to append OpenLineage events to.

    Raises:
        UsageError: events cannot be written.
    """
    with at_run(job) as run:
        watch = Watch(run, Lineage(events, run, pipeline, warehouse) if events else None)
        begun = time.monotonic()
        note("run.started", pipeline=pipeline, warehouse=str(warehouse))
        try:
            with traced_run(job):
                yield watch
            watch.complete()
        except BaseException as error:
            watch.broke(error)
            said = {"error": f"{type(error).__name__}: {error}", "seconds": _since(begun)}
            note("run.failed", level="error", **said)
            raise
        note("run.ended", seconds=_since(begun), stopped=watch.stopped)


def _since(begun: float) -> float:
    return round(time.monotonic() - begun, 3)
