"""Silence, which `--until-idle` waits for: a source that is down or not looked at has none."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

import pytest

from jobs.stream.delivery import Delivery
from jobs.stream.intake import Intake, Tolerance
from operators.parse.base import ParseLimits
from tests.clock import Clock
from tests.jobs.builds import sample_lines
from transforms.event_time.watermark import Watermark
from transforms.sources.live.protocol import Polled, SourceDownError

HOUR = timedelta(hours=1)
ROOM = 1 << 20
WAIT = 0.01
LINE = json.dumps(sample_lines(1)[0]).encode()
Answer = Callable[[], Sequence[Polled]]


class Scripted:
    """A source that answers as it is told."""

    name = "s"

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    def resume(self, positions: Mapping[str, str]) -> None: ...

    def poll(self, max_bytes: int, timeout: float) -> Sequence[Polled]:
        return self.answer()

    def partitions(self) -> Sequence[str]:
        return ["p"]

    def backlog(self) -> Mapping[str, int]:
        return {}

    def acknowledge(self, positions: Mapping[str, str]) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    monkeypatch.setattr(time, "sleep", clock.sleep)
    return clock


def intake_of(*sources: Scripted) -> Intake:
    tolerance = Tolerance(HOUR, HOUR, HOUR)
    watermark = Watermark(HOUR, HOUR)
    return Intake(sources, {}, ParseLimits(), tolerance, Delivery(), watermark)


def listen(intake: Intake, clock: Clock, seconds: float) -> None:
    """Look ten times a second, as a stream without work does."""
    for _ in range(round(seconds * 10)):
        clock.now += 0.1
        intake.take(ROOM, WAIT)


def quiet() -> Sequence[Polled]:
    return ()


def down() -> Sequence[Polled]:
    raise SourceDownError("s cannot be read")


def a_message() -> Sequence[Polled]:
    return [Polled("p", [(0, LINE)], "1")]


def test_silence_is_how_long_was_listened_since_the_last_record(clock: Clock) -> None:
    source = Scripted(a_message)
    intake = intake_of(source)
    assert intake.take(ROOM, WAIT).messages == 1
    source.answer = quiet
    listen(intake, clock, 3.0)
    assert intake.silence == pytest.approx(3.0)

    source.answer = a_message
    intake.take(ROOM, WAIT)
    assert intake.silence == 0.0


def test_time_in_which_nobody_looked_is_no_silence(clock: Clock) -> None:
    intake = intake_of(Scripted(quiet))
    intake.take(ROOM, WAIT)
    clock.now += 60.0
    assert intake.silence == 0.0


def test_a_process_that_was_stopped_has_not_listened(clock: Clock) -> None:
    """Its writers may have been stopped with it, and an answer not have come through yet."""
    intake = intake_of(Scripted(quiet))
    listen(intake, clock, 0.5)
    clock.now += 60.0
    intake.take(ROOM, WAIT)
    assert intake.silence < 1.0
    listen(intake, clock, 0.5)
    assert intake.silence > 1.0


def test_a_look_that_did_not_wait_is_none(clock: Clock) -> None:
    """A server's answer to it may be under way."""
    intake = intake_of(Scripted(quiet))
    clock.now += 60.0
    intake.take(ROOM, 0.0)
    assert intake.silence == 0.0


def test_down_is_not_silent_however_long_it_takes_to_fail(clock: Clock) -> None:
    def fail_late() -> Sequence[Polled]:
        clock.now += 30.0
        return down()

    source, other = Scripted(fail_late), Scripted(quiet)
    intake = intake_of(source, other)
    for _ in range(5):
        intake.take(ROOM, WAIT)
        assert intake.silence == 0.0
        clock.now += 7.0
    assert intake.troubles == {"s": "s cannot be read"}


def test_silence_begins_anew_when_a_source_is_back(clock: Clock) -> None:
    source = Scripted(quiet)
    intake = intake_of(source)
    listen(intake, clock, 2.0)
    assert intake.silence == pytest.approx(2.0)

    source.answer = down
    intake.take(ROOM, WAIT)
    assert intake.silence == 0.0
    clock.now += 7.0
    source.answer = quiet
    intake.take(ROOM, WAIT)
    assert intake.silence == 0.0
    assert intake.troubles == {}

    listen(intake, clock, 4.0)
    assert intake.silence == pytest.approx(4.0)


def test_whoever_was_deaf_begins_anew(clock: Clock) -> None:
    intake = intake_of(Scripted(quiet))
    listen(intake, clock, 5.0)
    intake.was_deaf()
    assert intake.silence == 0.0
