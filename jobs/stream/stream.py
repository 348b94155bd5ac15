"""`memoryflow stream`: brings a warehouse up to date with live logs, for as long as they live."""

import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from jobs.batch.state import load_state
from jobs.llm_gateways import NO_LIMITS, Limits
from jobs.observe.logs import say
from jobs.observe.spans import past_span
from jobs.run_record import DONE, STOPPED, RunRecord
from jobs.stream.builders import Builders, RayBuilders
from jobs.stream.committer import StreamCommitter, committed_marks
from jobs.stream.delivery import Delivery
from jobs.stream.housekeeper import Housekeeper
from jobs.stream.intake import Intake, Tolerance
from jobs.stream.open_sessions import OpenSessions, recorded_open_sessions
from jobs.stream.pulse import Pulse, Standing
from jobs.stream.report import StreamReport
from jobs.stream.scheduler import Scheduler
from jobs.stream.workers import Known
from operators.llm.errors import BudgetReachedError
from operators.parse.base import ParseLimits
from pipelines.plan import Plan
from pipelines.streaming import windowing_of
from transforms.event_time.live_runner import LiveRunner, Windowing
from transforms.event_time.open_runner import open_live_runner
from transforms.event_time.runs import SessionRun
from transforms.event_time.watermark import Watermark
from transforms.sources.live.protocol import LiveSource
from transforms.step_time import MILLISECONDS, SLICES
from transforms.warehouse.connection import Warehouse
from transforms.warehouse.erasure import finish_pending_erasure
from transforms.warehouse.errors import WarehouseError
from transforms.warehouse.read import read_table

_MEBIBYTE = 1024 * 1024
_WAIT_SECONDS = 0.05
_TICK_SECONDS = 0.2
"""What comes in so long goes to the runner together: a call costs it as much as many runs."""

_ADVANCE_SECONDS = 0.5
"""The runner looks at every open session when the watermark moves."""

_TURN_SECONDS = 2.0
"""Two writers that take turns keep the warehouse at least so long."""

_FINISH_SECONDS = 120.0
_DRAIN_SECONDS = 20.0


@dataclass(frozen=True)
class StreamRequest:
    """What to stream.

    Attributes:
        plan: the pipeline.
        sources: open, not resumed.
        workers: parallel builds.
        until_idle: end once the sources have been quiet for so many seconds and everything
            is built, with all sessions closed; None goes on for ever.
        verbose: a line on stderr around every commit.
        limits: what language models may cost.
    """

    plan: Plan
    sources: Sequence[LiveSource]
    workers: int
    until_idle: float | None = None
    verbose: bool = False
    limits: Limits = NO_LIMITS


class _StoppedWaitingError(Exception):
    """Asked to stop while another process was writing."""


class Stream:
    """A stream under way; one thread runs it.

    Call `run` inside a Ray session, unless the builders need none. `stop` makes `run` take in
    what was read, commit and return. A process that is killed instead loses nothing: what was
    not committed is read again.

    Args:
        warehouse: open for writing.
        request: what to stream.
        report: counts what is done.
        pulse: told how things stand.
        builders: starts those who build.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        request: StreamRequest,
        report: StreamReport,
        pulse: Pulse,
        builders: Callable[[Warehouse, Plan, int, Known, Limits], Builders] = RayBuilders,
    ) -> None:
        self._start_builders = builders
        self._warehouse = warehouse
        self._request = request
        self._pulse = pulse
        self._spec = request.plan.streaming
        self._windowing: Windowing = windowing_of(request.plan)
        self._delivery = Delivery()
        self._defers = self._spec.consolidate == "session_end"
        self._scheduler = Scheduler(self._delivery, defer=self._defers)
        self._report = report
        names = ", ".join(source.name for source in request.sources)
        self._committer = StreamCommitter(
            warehouse,
            RunRecord("stream", request.plan, names),
            self._delivery,
            self._scheduler,
            self._report,
            verbose=request.verbose,
        )
        self._watermark = Watermark(self._spec.out_of_orderness, self._spec.idle_partition)
        self._open = OpenSessions(self._windowing.gap)
        self._stopping = False
        self._ticked = self._advanced = self._turn = time.monotonic()
        self._housekeeper = Housekeeper(warehouse, self._spec)
        self._unsent: list[SessionRun] = []

    def stop(self) -> None:
        """Take in what was read, commit, and return from `run`; may be called in a signal."""
        self._stopping = True

    def run(self) -> None:
        """Stream until stopped or, with `until_idle`, until the sources fall silent.

        Raises:
            EngineError, LiveRunnerError, WarehouseError: what failed; run again to resume.
        """
        self._known = self._load_known()
        self._builders = self._start_builders(
            self._warehouse,
            self._request.plan,
            self._request.workers,
            self._known,
            self._request.limits,
        )
        runner = open_live_runner(self._spec.runner, self._windowing)
        try:
            self._builders.wait_ready()
            # Not before: actors that start on a crowded machine may starve the feed's signs of
            # life, and Beam gives a silent feed up.
            runner.start()
            self._reopen_sessions(runner)
            self._intake.was_deaf()
            self._pulse.started()
            self._loop(runner)
            self._end(runner)
        except BudgetReachedError as reached:
            self._end_by_budget(str(reached))
        except _StoppedWaitingError:
            self._pulse.ended(self._standing())  # All that was built had been committed.
        except BaseException:
            self._pulse.failed()
            raise
        finally:
            runner.stop()

    def _load_known(self) -> Known:
        """What is recorded; conversations that another plan has built are built again."""
        state = load_state(self._warehouse, self._request.plan)
        self._scheduler.add_stale(state.stale)
        self._committer.settled = not state.stale
        return Known(state.tombstones, state.open_failures)

    def resume(self) -> None:
        """Have the sources go on where they were committed; before `run`.

        Raises:
            SourceDownError, InputError: a source cannot be read.
        """
        offsets = read_table(self._warehouse, "offsets")
        sources = self._request.sources
        marks = committed_marks(offsets, [source.name for source in sources])
        for source in sources:
            positions = {p: mark.position for (s, p), mark in marks.items() if s == source.name}
            source.resume(positions)
        tolerance = Tolerance(
            self._windowing.gap, self._spec.out_of_orderness, self._spec.allowed_lateness
        )
        limits = ParseLimits(max_text_chars=self._request.plan.input.max_text_chars)
        self._intake = Intake(sources, marks, limits, tolerance, self._delivery, self._watermark)
        self._watermark.advance(time.monotonic())

    def _reopen_sessions(self, runner: LiveRunner) -> None:
        """Tell the runner of the sessions that were open at the last commit."""
        runs = recorded_open_sessions(
            self._warehouse,
            self._watermark.current,
            self._windowing.gap,
            self._delivery.next_token,
        )
        self._open.saw(runs)
        runner.send(runs)

    # The loop --------------------------------------------------------------------------

    def _loop(self, runner: LiveRunner) -> None:
        idle = False
        while not self._stopping and not idle:
            self._take()
            self._move_time(runner)
            self._build()
            self._keep_house()
            idle = self._is_idle()

    def _is_idle(self) -> bool:
        limit = self._request.until_idle
        if limit is None or self._intake.silence < limit:
            return False
        return not self._is_building(wait_for_panes=self._spec.early is not None)

    def _is_building(self, *, wait_for_panes: bool) -> bool:
        """Whether anything is on its way; sessions that have not fired count on demand."""
        under_way = not self._scheduler.empty or self._builders.busy or self._committer.waiting
        return bool(under_way) or (wait_for_panes and not self._delivery.empty)

    def _take(self) -> None:
        """Read what is new, as far as there is room: that is the back-pressure."""
        room = int(self._spec.max_in_flight_mib * _MEBIBYTE) - self._delivery.bytes
        if room <= 0:
            self._intake.was_deaf()
            self._release_oldest()
            return
        # While something is being built, its end is what to wait for.
        taken = self._intake.take(room, 0.0 if self._builders.busy else _WAIT_SECONDS)
        self._report.read(taken.messages)
        self._committer.add_dead_letters(taken.dead_letters, self._known)
        self._release(taken.late)
        self._unsent += taken.runs

    def _send(self, runner: LiveRunner) -> None:
        """Hand the runner what it will not drop.

        A partition that was idle may bring what is in time by its own clock and behind the
        watermark of the others. That is built at once: it is what a late pane would be.
        """
        runs = [run for run in self._unsent if not self._is_behind(run)]
        self._release(run.token for run in self._unsent if self._is_behind(run))
        self._unsent = []
        if runs:
            self._open.saw(runs)
            runner.send(runs)

    def _is_behind(self, run: SessionRun) -> bool:
        watermark = self._watermark.current
        kept = self._windowing.gap + self._windowing.allowed_lateness
        return watermark is not None and run.end + kept <= watermark

    def _release(self, tokens: Iterable[int]) -> None:
        """Have parcels built without waiting for a pane."""
        for token in tokens:
            parcel = self._delivery.parcel(token)
            if parcel is not None:
                self._scheduler.add_tokens(parcel.conversation, [token], closing=self._defers)

    def _release_oldest(self) -> None:
        """Full, and nothing to build: what waits for its session to close is built now.

        Otherwise a session larger than the limit would wait for a close that cannot come.
        """
        if self._scheduler.empty and not self._builders.busy and not self._committer.waiting:
            self._release(self._delivery.waiting(self._scheduler.taken))

    def _move_time(self, runner: LiveRunner) -> None:
        now = time.monotonic()
        if now - self._advanced >= _ADVANCE_SECONDS:
            self._advanced = now
            watermark = self._watermark.advance(now)
            if watermark is not None:
                runner.advance(watermark)
        if now - self._ticked >= _TICK_SECONDS:
            self._send(runner)
            runner.tick(timedelta(seconds=now - self._ticked))
            self._ticked = now
        for pane in runner.panes():
            self._scheduler.add_pane(pane)
        self._pulse.beat(self._standing)

    def _standing(self) -> Standing:
        watermark = self._watermark.current
        return Standing(
            watermark=watermark,
            open_sessions=self._open.count(watermark),
            in_flight_messages=self._delivery.messages,
            in_flight_bytes=self._delivery.bytes,
            backlog=self._intake.backlog(),
            troubles=self._intake.troubles,
            dead_letters=self._intake.counters["dead_letters"],
        )

    def _build(self) -> None:
        self._start_pieces()
        self._take_built(_WAIT_SECONDS)
        self._start_pieces()
        self._commit_if_due()

    def _start_pieces(self) -> None:
        if self._builders.idle and not self._scheduler.empty:
            size = self._request.plan.runtime.slice_chars
            for builder, piece in self._scheduler.next_pieces(self._builders.idle, size):
                self._builders.start(builder, piece)

    def _take_built(self, timeout: float) -> None:
        # Here, too: the last builds of a stream may take long, and it is not silent meanwhile.
        self._pulse.beat(self._standing)
        for piece, counters, changes in self._builders.finished(timeout):
            self._report.add(counters)
            spent = counters.get(SLICES, {}).get(MILLISECONDS, 0)
            past_span("slice", spent / 1000, conversations=len(piece.conversations))
            self._committer.add(piece, changes)

    def _commit_if_due(self) -> None:
        """After the interval, or at once where a builder has nothing to do but wait for it."""
        if not self._committer.waiting:
            return
        waited = time.monotonic() - self._committer.last
        if self._builders.idle or waited >= self._spec.commit_interval.total_seconds():
            self._commit()

    def _commit(self, status: str | None = None) -> None:
        if self._scheduler.all_current:
            self._committer.settled = True
        marks, failures = self._committer.commit(status=status)
        self._intake.acknowledge(marks)
        if failures.added or failures.healed:
            # In this order: a letter that is told anew is among both.
            open_failures = (self._known.open_failures - failures.healed) | failures.added
            self._known = replace(self._known, open_failures=open_failures)
            self._builders.tell(self._known)

    # Housekeeping ----------------------------------------------------------------------

    def _keep_house(self) -> None:
        """Now and then: merge small files, let snapshots go, let another writer in."""
        due = self._housekeeper.due
        wanted = time.monotonic() - self._turn >= _TURN_SECONDS and self._warehouse.wanted()
        if not due and not wanted:
            return
        self._settle()
        if due:
            self._housekeeper.tidy()
            self._finish_erasure()
        if wanted:
            self._pulse.waiting("another process is writing")
            self._warehouse.hand_over(waiting=self._check_stop)
            self._finish_erasure()
            self._intake.was_deaf()  # Nobody listened meanwhile.
            self._scheduler.forget_builds()
            self._known = self._load_known()
            self._builders.tell(self._known)
            self._turn = time.monotonic()

    def _finish_erasure(self) -> None:
        """Complete a `forget` that went first and was killed: nobody else may write for weeks.

        What is in the way, e.g. somebody who reads, was told to whoever forgot and must not end
        the stream; it tries again at the next upkeep.
        """
        try:
            finish_pending_erasure(self._warehouse)
        except WarehouseError as error:
            text = f"memoryflow: a forget is not complete yet, and will be tried again: {error}"
            say("erasure.unfinished", text, level="warning", why=str(error))

    def _check_stop(self) -> None:
        if self._stopping:
            raise _StoppedWaitingError

    def _settle(self) -> None:
        """Finish what is being built and commit it."""
        while self._builders.busy:
            self._take_built(_WAIT_SECONDS)
        if self._committer.waiting:
            self._commit()

    # The end ---------------------------------------------------------------------------

    def _end(self, runner: LiveRunner) -> None:
        if self._stopping:
            self._drain(runner)
        else:
            self._send(runner)
            for pane in runner.finish(_FINISH_SECONDS):
                self._scheduler.add_pane(pane)
            self._release(self._delivery.waiting(self._scheduler.taken))  # None, as a rule.
            self._build_all(lambda: True)
        self._settle()
        self._report.add({"model_calls": self._builders.counts()})
        self._report.spent = self._builders.spent()
        self._commit(status=DONE if self._scheduler.empty else None)
        self._housekeeper.drop_journal()
        self._pulse.ended(self._standing())

    def _end_by_budget(self, reason: str) -> None:
        """Commit what has been built; the rest is read again by the stream that goes on."""
        self._report.stopped = reason
        while self._builders.busy:
            with contextlib.suppress(BudgetReachedError):
                self._take_built(_WAIT_SECONDS)
        self._report.spent = self._builders.spent()
        self._commit(status=STOPPED)
        self._pulse.ended(self._standing())

    def _drain(self, runner: LiveRunner) -> None:
        """Build what was read. Sessions stay open; what waits for their close is read again."""
        deadline = time.monotonic() + _DRAIN_SECONDS
        waits = self._spec.early is not None

        def step() -> bool:
            self._move_time(runner)
            return time.monotonic() < deadline

        self._build_all(step, until_delivered=waits)

    def _build_all(self, step: Callable[[], bool], *, until_delivered: bool = False) -> None:
        while step():
            self._build()
            if not self._is_building(wait_for_panes=until_delivered):
                return
