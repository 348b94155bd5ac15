"""Session windows on another Beam runner, by way of its job service."""

import logging
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability import portable_runner

from transforms.event_time.live_runner import LiveRunnerError, Windowing
from transforms.event_time.pane_sink import PaneSink, PutPanes
from transforms.event_time.run_feed import ReadFeed, RunFeed
from transforms.event_time.runs import SessionPane, SessionRun
from transforms.event_time.session_windows import SessionPanes, micros

_QUIET = logging.NullHandler()


class PortableRunner:
    """LiveRunner on a Beam job endpoint.

    The runner there keeps the windows; Python code runs in this process (environment
    LOOPBACK: the job service must be able to reach it, so it runs on this machine). Processing
    time is the runner's own: `tick` does nothing.

    Tried: Beam's own `LocalJobServicer` (the FnApiRunner). It fires sessions only when the
    stream ends, so that all panes come from `finish`, and it fails with `windowing.early` (it
    has no processing time). Not tried: Flink or any other runner, none being at hand; it has to
    support merging windows written in Python.

    Args:
        windowing: gap, lateness, early firing.
        endpoint: HOST:PORT of the job service.
    """

    def __init__(self, windowing: Windowing, endpoint: str) -> None:
        self._windowing = windowing
        self._endpoint = endpoint
        self._sink: PaneSink | None = None
        self._feed = RunFeed()
        self._result: Any = None
        self._error: Exception | None = None
        self._waiting: threading.Thread | None = None

    def start(self) -> None:
        """Submit the job."""
        logging.getLogger("apache_beam").addHandler(_QUIET)
        self._sink = PaneSink()
        flags = [f"--job_endpoint={self._endpoint}", "--environment_type=LOOPBACK", "--streaming"]
        pipeline = beam.Pipeline(
            runner=portable_runner.PortableRunner(), options=PipelineOptions(flags)
        )
        feeds = pipeline | "Feed" >> beam.Create([self._feed.token], reshuffle=False)
        runs = feeds | beam.ParDo(ReadFeed()).with_output_types(SessionRun)
        _ = (
            runs
            | SessionPanes(self._windowing)
            | "Hand over" >> beam.ParDo(PutPanes(self._sink.token))
        )
        try:
            self._result = pipeline.run()
        except Exception as error:
            self.stop()
            raise LiveRunnerError(f"{self._endpoint} does not take the job: {error}") from error
        self._waiting = threading.Thread(target=self._wait, name="beam-job", daemon=True)
        self._waiting.start()

    def send(self, runs: Sequence[SessionRun]) -> None:
        """Hand runs in."""
        self._feed.put(runs)

    def advance(self, watermark: datetime) -> None:
        """Becomes the source's watermark."""
        self._feed.put([micros(watermark)])

    def tick(self, elapsed: timedelta) -> None:
        """Nothing: the runner has its own clock."""

    def panes(self) -> Sequence[SessionPane]:
        """Panes fired since the last call."""
        if self._waiting is None or not self._waiting.is_alive():
            raise LiveRunnerError(f"the Beam job is not running: {self._error}") from self._error
        return self._taken()

    def finish(self, timeout: float) -> Sequence[SessionPane]:
        """End the source, wait for the job."""
        if self._waiting is None:
            raise LiveRunnerError("the runner is not running")
        self._feed.end()
        self._waiting.join(timeout)
        is_late = self._waiting.is_alive()
        panes = self._taken()
        self.stop()
        if is_late:
            raise LiveRunnerError(f"the Beam job did not finish within {timeout:g} s")
        if self._error is not None:
            raise LiveRunnerError(f"the Beam job has failed: {self._error}") from self._error
        return panes

    def stop(self) -> None:
        """Cancel the job."""
        self._feed.close()
        if self._sink is not None:
            self._sink.close()
        waiting, self._waiting = self._waiting, None
        if waiting is not None and waiting.is_alive():
            self._result.cancel()
            waiting.join(10)

    def _taken(self) -> Sequence[SessionPane]:
        return [] if self._sink is None else self._sink.take()

    def _wait(self) -> None:
        try:
            self._result.wait_until_finish()
        except Exception as error:
            self._error = error
