"""One running session pipeline on Beam's own streaming runner, in this process."""

import logging
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, cast

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner, DirectPipelineResult
from apache_beam.runners.direct.executor import (
    _ExecutorServiceParallelExecutor,  # pyright: ignore[reportPrivateUsage] # see `abandon`
)
from apache_beam.testing.test_stream import TestStream

from transforms.event_time.event_feed import EventFeed
from transforms.event_time.live_runner import LiveRunnerError, Windowing
from transforms.event_time.pane_sink import PaneSink, PutPanes
from transforms.event_time.runs import SessionPane
from transforms.event_time.session_windows import RunCoder, SessionPanes

# The runner compares the times of processing-time timers with the ends of windows, too. Its
# test clock starts long before all events, so that no early firing is taken for a late one.
_CLOCK_START = timedelta(days=-1_000_000)

_JOIN_SECONDS = 30.0
_ABANDON_SECONDS = 10.0
_QUIET = logging.NullHandler()

# Beam keeps the event stream of the running TestStream in a class attribute.
_ONLY_ONE = threading.Lock()


class _AbandonedError(Exception):
    """Ends a pipeline that nobody waits for."""


class LocalPipeline:
    """TestStream -> SessionPanes -> sink, running from construction on.

    Only one at a time in a process. Must be ended, by `finish` or `abandon`, or the process
    does not end.

    Raises:
        LiveRunnerError: another one is running.
    """

    def __init__(self, windowing: Windowing, heartbeat: timedelta) -> None:
        if not _ONLY_ONE.acquire(blocking=False):
            raise LiveRunnerError("a local runner is running in this process already")
        # Without a handler, Python would print Beam's warnings.
        logging.getLogger("apache_beam").addHandler(_QUIET)
        self._error: Exception | None = None
        self._sink = PaneSink()
        self.feed = EventFeed(heartbeat)
        self.feed.tick(_CLOCK_START)
        try:
            self._result = _run(windowing, self.feed, self._sink)
        except BaseException:
            self._close()
            raise
        self._waiting = threading.Thread(target=self._wait, name="beam-sessions", daemon=True)
        self._waiting.start()

    def take(self) -> Sequence[SessionPane]:
        """Panes since the last call.

        Raises:
            LiveRunnerError: the pipeline has failed, or ended without having been told to.
        """
        if not self._waiting.is_alive():
            reason = self._error or "it ended by itself"
            raise LiveRunnerError(f"the Beam pipeline has failed: {reason}") from self._error
        return self._sink.take()

    def finish(self, timeout: float) -> Sequence[SessionPane]:
        """Advance the watermark to the end of time, wait, end.

        Raises:
            LiveRunnerError: the pipeline has failed, or takes longer than `timeout` seconds.
        """
        self.feed.end()
        self._waiting.join(timeout)
        if self._waiting.is_alive():
            self.abandon()
            raise LiveRunnerError(f"the Beam pipeline did not finish within {timeout:g} s")
        panes = self._sink.take()
        self._close()
        if self._error is not None:
            raise LiveRunnerError(f"the Beam pipeline has failed: {self._error}") from self._error
        return panes

    def abandon(self) -> None:
        """End without firing what is left."""
        # Beam's `cancel` joins a thread that waits for our next event, and leaves another one
        # waiting for ever. An outcome of our own ends both, once the feed has ended.
        executor = self._result._executor._executor  # pyright: ignore[reportPrivateUsage]
        outcome = _ExecutorServiceParallelExecutor._VisibleExecutorUpdate  # pyright: ignore[reportPrivateUsage]
        executor.visible_updates.offer(outcome(_AbandonedError()))
        deadline = time.monotonic() + _ABANDON_SECONDS
        while not executor.executor_service.shutdown_requested and time.monotonic() < deadline:
            time.sleep(0.001)
        self._sink.close()
        self.feed.end()
        self._waiting.join(_JOIN_SECONDS)
        self._close()

    def _wait(self) -> None:
        try:
            self._result.wait_until_finish()
        except Exception as error:
            self._error = error

    def _close(self) -> None:
        self._sink.close()
        self.feed.close()
        _ONLY_ONE.release()


def _run(windowing: Windowing, feed: EventFeed, sink: PaneSink) -> DirectPipelineResult:
    # The runner is named: the default one would look for another, and might download it.
    options = PipelineOptions(["--streaming"])
    pipeline = beam.Pipeline(runner=BundleBasedDirectRunner(), options=options)
    runs = pipeline | TestStream(coder=cast("Any", RunCoder()), endpoint=feed.endpoint)
    _ = runs | SessionPanes(windowing) | "Hand over" >> beam.ParDo(PutPanes(sink.token))
    # Not by way of the portable form, in which our trigger is a plain AfterWatermark.
    return cast("DirectPipelineResult", pipeline.run(test_runner_api=False))
