"""Session windows on Beam's streaming runner inside this process."""

import time
from collections.abc import Sequence
from datetime import datetime, timedelta

from transforms.event_time.live_runner import LiveRunnerError, Windowing
from transforms.event_time.local_pipeline import LocalPipeline
from transforms.event_time.runs import SessionPane, SessionRun
from transforms.event_time.session_ledger import SessionLedger

_HEARTBEAT = timedelta(seconds=5)
_RESTART_AFTER = 500
_QUIESCE_SECONDS = 60.0
# Stands for no run: marks a place in the stream.
_MARKER = ("", "")
_MARKER_TOKEN = -3


class LocalRunner:
    """LiveRunner on `BundleBasedDirectRunner`, fed through a TestStream service.

    That runner never forgets a window: it would grow by about 1.5 kB a session, and slow down
    with the number of closed sessions per conversation. So once enough sessions have closed
    for good, the pipeline is replaced by a new one, which is told of the sessions that runs
    can still reach and of the runs that have not fired. Windows, panes and lateness stay
    Beam's.

    Tokens must be unique and not negative. One at a time in a process; must be ended by
    `finish` or `stop`.

    Args:
        windowing: gap, lateness, early firing.
        heartbeat: how often the pipeline gets a sign of life; it gives up after 30 s.
        restart_after: restart when so many sessions have closed for good, and at least as
            many as are left.
    """

    def __init__(
        self,
        windowing: Windowing,
        heartbeat: timedelta = _HEARTBEAT,
        restart_after: int = _RESTART_AFTER,
    ) -> None:
        self._windowing = windowing
        self._heartbeat = heartbeat
        self._restart_after = restart_after
        self._check_at = restart_after
        self._ledger = SessionLedger(windowing)
        self._watermark: datetime | None = None
        self._ready: list[SessionPane] = []
        self._pipeline: LocalPipeline | None = None
        self.restarts = 0

    def start(self) -> None:
        """Start the pipeline: 50 ms, and Beam's imports."""
        self._pipeline = LocalPipeline(self._windowing, self._heartbeat)

    def send(self, runs: Sequence[SessionRun]) -> None:
        """Hand runs in; does not wait."""
        self._ledger.sent(runs)
        self._running().feed.send(runs)

    def advance(self, watermark: datetime) -> None:
        """Going back is ignored."""
        if self._watermark is None or watermark > self._watermark:
            self._watermark = watermark
            self._running().feed.advance(watermark)

    def tick(self, elapsed: timedelta) -> None:
        """Let processing time pass; costs nothing while no run waits for it."""
        if self._windowing.early is not None and self._ledger.is_waiting and elapsed:
            self._running().feed.tick(elapsed)

    def panes(self) -> Sequence[SessionPane]:
        """Panes fired since the last call.

        Returns at once, but for the restarts, which wait until all that was sent has been
        worked on.
        """
        self._collect(self._running().take())
        if self._ledger.closed >= self._check_at and self._watermark is not None:
            self._tidy(self._watermark)
        ready, self._ready = self._ready, []
        return ready

    def finish(self, timeout: float) -> Sequence[SessionPane]:
        """Fire everything and end."""
        pipeline, self._pipeline = self._running(), None
        self._collect(pipeline.finish(timeout))
        ready, self._ready = self._ready, []
        return ready

    def stop(self) -> None:
        """End; what has not fired is dropped."""
        pipeline, self._pipeline = self._pipeline, None
        if pipeline is not None:
            pipeline.abandon()

    def _running(self) -> LocalPipeline:
        if self._pipeline is None:
            raise LiveRunnerError("the runner is not running")
        return self._pipeline

    def _collect(self, panes: Sequence[SessionPane]) -> None:
        self._ready += self._ledger.fired(p for p in panes if p.conversation != _MARKER)

    def _tidy(self, watermark: datetime) -> None:
        """Restart if that would get rid of at least half of what the pipeline holds."""
        left = self._ledger.forget(watermark)
        if self._ledger.closed - left < max(self._restart_after, left):
            self._check_at = self._ledger.closed + self._restart_after
            return
        self._quiesce(watermark)
        self.stop()
        self._ledger.forget(watermark)
        told = self._ledger.restart()
        self._pipeline = LocalPipeline(self._windowing, self._heartbeat)
        self._pipeline.feed.send(told.closed)
        self._pipeline.feed.advance(watermark)
        self._pipeline.feed.send(told.open)
        self._check_at = self._restart_after
        self.restarts += 1

    def _quiesce(self, watermark: datetime) -> None:
        """Wait until all that was sent has been worked on."""
        # A late run fires at once, and only when everything before it has been dealt with.
        at = watermark - self._windowing.gap
        marker = SessionRun(_MARKER, _MARKER_TOKEN, at, at)
        pipeline = self._running()
        pipeline.feed.send([marker])
        deadline = time.monotonic() + _QUIESCE_SECONDS
        while time.monotonic() < deadline:
            panes = pipeline.take()
            self._collect(panes)
            if any(pane.conversation == _MARKER for pane in panes):
                return
            time.sleep(0.005)
        raise LiveRunnerError("the Beam pipeline is stuck")
