from datetime import UTC, datetime, timedelta

import apache_beam as beam
import pytest
from apache_beam.coders.typecoders import registry
from apache_beam.internal import pickler
from apache_beam.runners.pipeline_context import PipelineContext
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import IntervalWindow, Sessions, WindowFn
from apache_beam.utils.timestamp import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from transforms.event_time.live_runner import Windowing
from transforms.event_time.runs import SessionPane, SessionRun, Timing
from transforms.event_time.session_windows import (
    AfterDelay,
    RunCoder,
    RunSessions,
    SessionPanes,
    micros,
    moment,
)

T = datetime(2025, 3, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MOMENTS = st.datetimes(timezones=st.just(UTC))
RUNS = st.builds(
    SessionRun,
    st.tuples(st.text(), st.text()),
    st.integers(-(2**62), 2**62),
    MOMENTS,
    MOMENTS,
)


@given(MOMENTS)
def test_microseconds_are_exact(when: datetime) -> None:
    assert moment(micros(when)) == when


@given(RUNS)
def test_the_coder_gives_back_what_it_took(run: SessionRun) -> None:
    coder = RunCoder()
    assert coder.decode(coder.encode(run)) == run
    assert registry.get_coder(SessionRun) == coder


def test_a_run_takes_its_span_and_the_gap() -> None:
    windows = RunSessions(1.5 * SECOND)
    run = SessionRun(("acme", "a"), 1, T, T + timedelta(microseconds=7))
    context = WindowFn.AssignContext(Timestamp(0), element=run)
    at = micros(T)
    assert windows.assign(context) == [
        IntervalWindow(Timestamp(micros=at), Timestamp(micros=at + 1_500_007))
    ]


def test_window_functions_are_equal_by_gap_and_travel() -> None:
    windows = RunSessions(90 * SECOND)
    assert windows == RunSessions(90 * SECOND) != RunSessions(91 * SECOND)
    assert windows != Sessions(90)
    assert hash(windows) == hash(RunSessions(90 * SECOND))
    assert pickler.loads(pickler.dumps(windows)) == windows
    there = PipelineContext()
    copy = WindowFn.from_runner_api(windows.to_runner_api(there), there)
    assert copy == windows
    assert type(copy) is RunSessions


def test_parts_of_a_second_survive_translation() -> None:
    trigger = AfterDelay(0.25 * SECOND).to_runner_api(None)
    assert trigger.after_processing_time.timestamp_transforms[0].delay.delay_millis == 250


@pytest.mark.slow
def test_a_bounded_input_gives_whole_sessions() -> None:
    def run(token: int, start: int, end: int) -> SessionRun:
        return SessionRun(("acme", "a"), token, T + start * SECOND, T + end * SECOND)

    runs = [run(3, 30, 30), run(2, 8, 21), run(1, 0, 5)]
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        created = pipeline | beam.Create(runs, reshuffle=False)
        panes = created | SessionPanes(Windowing(10 * SECOND, 0 * SECOND, None))
        expected = [
            SessionPane(("acme", "a"), (1, 2, 3), T, T + 30 * SECOND, Timing.ON_TIME),
        ]
        assert_that(panes, equal_to(expected))
