"""Session windows over runs, with early, on-time and late panes: what Beam decides.

Nothing here knows a runner: the same transform runs on `LocalRunner` and `PortableRunner`.
"""

import math
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, ClassVar, cast

import apache_beam as beam
from apache_beam import coders
from apache_beam.coders.typecoders import registry
from apache_beam.internal import pickler
from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.pvalue import PCollection
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.trigger import (
    AccumulationMode,
    AfterCount,
    AfterProcessingTime,
    AfterWatermark,
    TriggerContext,
)
from apache_beam.transforms.window import IntervalWindow, Sessions
from apache_beam.utils.timestamp import Duration, Timestamp
from apache_beam.utils.windowed_value import PaneInfo, PaneInfoTiming
from google.protobuf import wrappers_pb2

from operators.parse.timestamps import EPOCH
from transforms.event_time.live_runner import Windowing
from transforms.event_time.runs import SessionPane, SessionRun, Timing
from transforms.frame import Conversation

_MICROSECOND = timedelta(microseconds=1)
_TIMINGS = {
    PaneInfoTiming.EARLY: Timing.EARLY,
    PaneInfoTiming.ON_TIME: Timing.ON_TIME,
    PaneInfoTiming.LATE: Timing.LATE,
    PaneInfoTiming.UNKNOWN: Timing.ON_TIME,  # a runner without triggers: at the end
}


def micros(when: datetime) -> int:
    """Microseconds since 1970, exactly."""
    return (when - EPOCH) // _MICROSECOND


def moment(at: int) -> datetime:
    """The UTC time `at` microseconds after 1970."""
    return EPOCH + timedelta(microseconds=at)


class RunCoder(coders.Coder):
    """SessionRun <-> a tuple of primitives: about 40 bytes and the names."""

    _tuples: ClassVar[coders.Coder] = coders.FastPrimitivesCoder()

    def encode(self, value: SessionRun) -> bytes:
        """Times as microseconds."""
        row = (*value.conversation, value.token, micros(value.start), micros(value.end))
        return self._tuples.encode(row)

    def decode(self, encoded: bytes) -> SessionRun:
        """What `encode` was given."""
        tenant, conversation, token, start, end = self._tuples.decode(encoded)
        return SessionRun((tenant, conversation), token, moment(start), moment(end))

    def is_deterministic(self) -> bool:
        """Strings and integers only."""
        return True

    def to_type_hint(self) -> type[SessionRun]:
        """What it codes."""
        return SessionRun


registry.register_coder(SessionRun, RunCoder)


class RunSessions(Sessions):
    """Beam's session windows for elements that last a while: a run takes [start, end + gap).

    Merging is Beam's own: windows that overlap become one, so that a silence of `gap` or
    more parts two sessions.
    """

    def __init__(self, gap: timedelta) -> None:
        super().__init__(Duration(micros=gap // _MICROSECOND))

    def assign(self, context: Sessions.AssignContext) -> list[IntervalWindow]:
        """The window of one run; the element's Beam timestamp plays no part."""
        run = cast("SessionRun", context.element)
        start, end = Timestamp(micros=micros(run.start)), Timestamp(micros=micros(run.end))
        return [IntervalWindow(start, end + self.gap_size)]

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.gap_size == cast("RunSessions", other).gap_size

    def __hash__(self) -> int:
        return hash((RunSessions, self.gap_size))

    def to_runner_api_parameter(self, context: object) -> tuple[str, Any]:  # noqa: ARG002
        """Travels pickled: as Beam's own sessions, it would forget how it assigns."""
        return python_urns.PICKLED_WINDOWFN, wrappers_pb2.BytesValue(value=pickler.dumps(self))


class AfterSession(AfterWatermark):
    """AfterWatermark that closes a session again when late runs have made it longer.

    Beam's Java runners do so ("rewind" when windows merge). In the Python SDK a closed session
    that a late run prolongs beyond the watermark stays late for ever and would never be
    on time again (the TODO in `AfterWatermark.on_merge`). Other runners are told of a plain
    AfterWatermark.
    """

    # A set instead of a combined value, for which Beam would make a class at each look.
    LATE_TAG = AfterProcessingTime.STATE_TAG.with_prefix("late_")

    def should_fire(
        self,
        time_domain: str,
        watermark: Timestamp,
        window: IntervalWindow,
        context: TriggerContext,
    ) -> bool:
        """Reopen the window if need be, then as AfterWatermark does."""
        # For processing-time timers `watermark` is no watermark at all.
        is_open = time_domain == TimeDomain.WATERMARK and watermark < window.end
        if is_open and self.is_late(context):
            self.reset(window, context)
            self.on_element(None, window, context)
        return bool(super().should_fire(time_domain, watermark, window, context))


class AfterDelay(AfterProcessingTime):
    """AfterProcessingTime for parts of a second, which Beam's own does not translate."""

    def __init__(self, delay: timedelta) -> None:
        super().__init__()
        self.delay = delay.total_seconds()

    def to_runner_api(self, context: object) -> beam_runner_api_pb2.Trigger:  # noqa: ARG002
        """The portable form, in milliseconds."""
        millis = math.ceil(self.delay * 1000)
        wait = beam_runner_api_pb2.TimestampTransform.Delay(delay_millis=millis)
        return beam_runner_api_pb2.Trigger(
            after_processing_time=beam_runner_api_pb2.Trigger.AfterProcessingTime(
                timestamp_transforms=[beam_runner_api_pb2.TimestampTransform(delay=wait)]
            )
        )


class SessionPanes(beam.PTransform[PCollection[SessionRun], PCollection[SessionPane]]):
    """Runs -> panes of their sessions, each run in exactly one pane.

    A session fires early (if asked for), once on time when the watermark passes its end, also
    if there is nothing new then, and late with every bundle of late runs. A session whose
    first run comes late already has late panes only. A late run that fills the gap between
    two sessions gives a pane of the merged session.

    Args:
        windowing: gap, lateness, early firing.
    """

    def __init__(self, windowing: Windowing) -> None:
        super().__init__()
        self._windowing = windowing

    def expand(self, input_or_inputs: PCollection[SessionRun]) -> PCollection[SessionPane]:
        """Window, then group by conversation."""
        early = self._windowing.early
        lateness = Duration(micros=self._windowing.allowed_lateness // _MICROSECOND)
        windowed = input_or_inputs | "Sessions" >> beam.WindowInto(
            RunSessions(self._windowing.gap),
            trigger=AfterSession(
                early=None if early is None else AfterDelay(early), late=AfterCount(1)
            ),
            accumulation_mode=AccumulationMode.DISCARDING,
            allowed_lateness=cast("Any", lateness),  # Beam's annotation knows whole seconds
        )
        keyed = windowed | "Key" >> beam.Map(_keyed).with_output_types(
            tuple[tuple[str, str], SessionRun]
        )
        grouped = keyed | beam.GroupByKey()
        make = beam.ParDo(_MakePane(self._windowing.gap)).with_output_types(SessionPane)
        return cast("PCollection[SessionPane]", grouped | "Panes" >> make)


def _keyed(run: SessionRun) -> tuple[Conversation, SessionRun]:
    return run.conversation, run


class _MakePane(beam.DoFn):
    """(conversation, runs) of one firing -> its pane."""

    def __init__(self, gap: timedelta) -> None:
        super().__init__()
        self._gap = gap

    def process(
        self,
        element: tuple[Conversation, Iterable[SessionRun]],
        window: IntervalWindow = cast("Any", beam.DoFn.WindowParam),  # noqa: B008
        pane: PaneInfo = cast("Any", beam.DoFn.PaneInfoParam),  # noqa: B008
    ) -> Iterator[SessionPane]:
        """One pane, or none: timers of merged windows fire without runs, which says nothing."""
        conversation, runs = element
        tokens = tuple(sorted(run.token for run in runs))
        timing = _TIMINGS[pane.timing]
        if tokens or timing is Timing.ON_TIME:
            start, end = moment(window.start.micros), moment(window.end.micros) - self._gap
            yield SessionPane(conversation, tokens, start, end, timing)
