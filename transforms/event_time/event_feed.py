"""Feeds a running Beam TestStream over gRPC: runs, watermarks, processing time."""

import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.testing.test_stream_service import TestStreamServiceController
from apache_beam.utils.timestamp import MAX_TIMESTAMP, MIN_TIMESTAMP

from transforms.event_time.runs import SessionRun
from transforms.event_time.session_windows import RunCoder, micros

TestStreamPayload = beam_runner_api_pb2.TestStreamPayload
Event = TestStreamPayload.Event

_CLOSE_SECONDS = 5.0
_MESSAGE_BYTES = 1 << 20  # gRPC takes 4 MiB
_LAST_WATERMARK = MAX_TIMESTAMP.micros - 1  # the end of time itself is Beam's to announce


class _Service(TestStreamServiceController):
    """Knows when its client has had everything; stopping it earlier makes gRPC complain."""

    def __init__(self, feed: "EventFeed", endpoint: str) -> None:
        super().__init__(feed, endpoint=endpoint)
        self.called = threading.Event()
        self.answered = threading.Event()

    def Events(  # noqa: N802 # pyright: ignore[reportIncompatibleMethodOverride] # Beam's yields untyped
        self, request: Any, context: Any
    ) -> Iterator[Event]:
        """Beam's, watched."""
        self.called.set()
        context.add_callback(self.answered.set)
        yield from super().Events(request, context)


class EventFeed:
    """A TestStream service on a Unix socket that only this user can reach.

    Not TCP: on a loopback port any local user could take events away, and a proxy setting
    might catch the connection. Must be closed, or the process does not end.

    Args:
        heartbeat: how often something is sent when there is nothing to send; Beam gives a
            silent service up after 30 s.
    """

    def __init__(self, heartbeat: timedelta) -> None:
        self._heartbeat = heartbeat.total_seconds()
        self._events: SimpleQueue[bytes | None] = SimpleQueue()
        self._watermark = MIN_TIMESTAMP.micros
        self._folder = Path(tempfile.mkdtemp(prefix="memoryflow-"))
        self.endpoint = f"unix:{self._folder}/events"
        self._service = _Service(self, self.endpoint)
        self._service.start()

    def send(self, runs: Sequence[SessionRun]) -> None:
        """Elements, stamped with their ends, in messages of bounded size."""
        coder, elements, size = RunCoder(), list[TestStreamPayload.TimestampedElement](), 0
        for run in runs:
            encoded = coder.encode(run)
            element = TestStreamPayload.TimestampedElement(
                encoded_element=encoded, timestamp=micros(run.end)
            )
            elements.append(element)
            size += len(encoded) + 32
            if size >= _MESSAGE_BYTES:
                self._add(elements)
                elements, size = [], 0
        if elements:
            self._add(elements)

    def advance(self, watermark: datetime) -> None:
        """Nothing happens where that is no advance."""
        at = min(micros(watermark), _LAST_WATERMARK)
        if at > self._watermark:
            self._watermark = at
            moved = Event.AdvanceWatermark(new_watermark=at, tag="None")
            self._put(Event(watermark_event=moved))

    def tick(self, elapsed: timedelta) -> None:
        """Processing time; may be negative, for setting the clock."""
        self._put(_tick(elapsed // timedelta(microseconds=1)))

    def end(self) -> None:
        """Nothing follows; Beam then advances the watermark to the end of time."""
        self._events.put(None)

    def close(self) -> None:
        """Stop the service, and with it a pipeline that still reads."""
        self.end()
        if self._service.called.is_set():
            self._service.answered.wait(_CLOSE_SECONDS)
        self._service.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def read_multiple(self, labels: Sequence[object]) -> Iterator[Event]:  # noqa: ARG002
        """What the service calls: all events until the end."""
        while True:
            try:
                event = self._events.get(timeout=self._heartbeat)
            except Empty:
                yield _tick(1)
                continue
            if event is None:
                return
            yield Event.FromString(event)

    def _add(self, elements: Sequence[TestStreamPayload.TimestampedElement]) -> None:
        self._put(Event(element_event=Event.AddElements(elements=elements, tag="None")))

    def _put(self, event: Event) -> None:
        self._events.put(event.SerializeToString())


def _tick(elapsed: int) -> Event:
    return Event(processing_time_event=Event.AdvanceProcessingTime(advance_duration=elapsed))
