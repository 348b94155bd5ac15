import gc
import re
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.effort import examples
from transforms.event_time import local_pipeline, pane_sink
from transforms.event_time.live_runner import LiveRunnerError, Windowing
from transforms.event_time.local_runner import LocalRunner
from transforms.event_time.runs import SessionPane, SessionRun, Timing

T = datetime(2025, 3, 1, tzinfo=UTC)
GAP, LATENESS = 10, 40
SECOND = timedelta(seconds=1)
WINDOWING = Windowing(GAP * SECOND, LATENESS * SECOND, 0.2 * SECOND)
A = ("acme", "a")


def run(token: int, start: float, end: float, conversation: tuple[str, str] = A) -> SessionRun:
    return SessionRun(conversation, token, T + start * SECOND, T + end * SECOND)


def shown(pane: SessionPane) -> tuple[tuple[int, ...], float, float, str]:
    return (pane.tokens, (pane.start - T) / SECOND, (pane.end - T) / SECOND, pane.timing)


@pytest.fixture
def runner() -> Iterator[LocalRunner]:
    live = LocalRunner(WINDOWING)
    live.start()
    yield live
    live.stop()


def wait(
    runner: LocalRunner, count: int, seconds: float = 60
) -> list[tuple[tuple[int, ...], float, float, str]]:
    panes: list[SessionPane] = []
    end = time.monotonic() + seconds
    while len(panes) < count and time.monotonic() < end:
        runner.tick(0.1 * SECOND)
        time.sleep(0.02)
        panes += runner.panes()
    return sorted(map(shown, panes))


def test_a_session_fires_early_then_closes_without_new_runs(runner: LocalRunner) -> None:
    runner.send([run(1, 0, 5), run(2, 5, 8)])
    assert wait(runner, 1) == [((1, 2), 0, 8, Timing.EARLY)]
    runner.advance(T + 30 * SECOND)
    assert wait(runner, 1) == [((), 0, 8, Timing.ON_TIME)]


def test_a_late_run_fires_at_once_and_may_join_two_sessions(runner: LocalRunner) -> None:
    runner.send([run(1, 0, 5), run(2, 20, 22)])
    runner.advance(T + 40 * SECOND)
    assert wait(runner, 2) == [((1,), 0, 5, Timing.ON_TIME), ((2,), 20, 22, Timing.ON_TIME)]
    runner.send([run(3, 12, 13)])
    assert wait(runner, 1) == [((3,), 0, 22, Timing.LATE)]


def test_a_late_run_that_reopens_a_session_lets_it_close_again(runner: LocalRunner) -> None:
    runner.send([run(1, 0, 5)])
    runner.advance(T + 16 * SECOND)
    assert wait(runner, 1) == [((1,), 0, 5, Timing.ON_TIME)]
    runner.send([run(2, 12, 17)])
    assert wait(runner, 1) == [((2,), 0, 17, Timing.EARLY)]
    runner.advance(T + 27 * SECOND)
    assert wait(runner, 1) == [((), 0, 17, Timing.ON_TIME)]


def test_microseconds_count() -> None:
    runner = LocalRunner(WINDOWING)
    runner.start()
    tick = timedelta(microseconds=1)
    runner.send([run(1, 0, 0), SessionRun(A, 2, T + GAP * SECOND - tick, T + GAP * SECOND - tick)])
    other = ("acme", "b")
    runner.send([run(3, 0, 0, other), run(4, GAP, GAP, other)])
    panes = runner.finish(60)
    assert sorted(pane.tokens for pane in panes) == [(1, 2), (3,), (4,)]


def test_many_big_runs_are_split_into_messages() -> None:
    runner = LocalRunner(WINDOWING)
    runner.start()
    name = "long" * 3000
    runner.send([run(token, 0, 1, (name, str(token))) for token in range(500)])
    assert sorted(pane.tokens[0] for pane in runner.finish(60)) == list(range(500))


def test_silence_is_bridged_by_heartbeats() -> None:
    beats = LocalRunner(WINDOWING, heartbeat=0.05 * SECOND)
    beats.start()
    time.sleep(0.3)
    beats.send([run(1, 0, 1)])
    assert wait(beats, 1) == [((1,), 0, 1, Timing.EARLY)]
    beats.stop()


def test_stop_leaves_nothing_behind_and_is_harmless_twice(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def mine() -> set[str]:
        return {t.name for t in threading.enumerate() if "beam-" in t.name or "Thread:" in t.name}

    before = mine()
    runner = LocalRunner(WINDOWING)
    for _ in range(3):
        runner = LocalRunner(WINDOWING)
        runner.start()
        runner.send([run(1, 0, 1)])
        runner.stop()
        runner.stop()
    gc.collect()
    assert mine() == before
    said, errors = capfd.readouterr()
    # gRPC's own remark (level I) that a server has gone, where the machine is slow.
    assert (said, re.sub(r"(?m)^I\d+ .*Got goaway.*\n", "", errors)) == ("", "")
    with pytest.raises(LiveRunnerError):
        runner.panes()


def test_only_one_at_a_time(runner: LocalRunner) -> None:
    with pytest.raises(LiveRunnerError, match="already"):
        LocalRunner(WINDOWING).start()


def test_a_failure_in_beam_surfaces(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: pane_sink.PutPanes, element: SessionPane) -> None:
        raise ValueError("no room for panes")

    monkeypatch.setattr(local_pipeline.PutPanes, "process", fail)
    runner = LocalRunner(WINDOWING, heartbeat=0.05 * SECOND)
    runner.start()
    runner.send([run(1, 0, 1)])
    with pytest.raises(LiveRunnerError, match="no room for panes"):
        wait(runner, 1)
    runner.stop()


def test_a_failure_surfaces_from_finish(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: pane_sink.PutPanes, element: SessionPane) -> None:
        raise ValueError("no room for panes")

    monkeypatch.setattr(local_pipeline.PutPanes, "process", fail)
    runner = LocalRunner(WINDOWING)
    runner.start()
    runner.send([run(1, 0, 1)])
    with pytest.raises(LiveRunnerError, match="no room for panes"):
        runner.finish(60)


# --- against an oracle -------------------------------------------------------------------


@dataclass
class Story:
    """Sends and watermarks, in seconds; what is too late is not sent."""

    steps: list[list[SessionRun] | int]

    def sent(self) -> list[SessionRun]:
        return [each for step in self.steps if isinstance(step, list) for each in step]


@st.composite
def stories(draw: st.DrawFn) -> Story:
    steps: list[list[SessionRun] | int] = []
    watermark, token = 0, 0
    for _ in range(draw(st.integers(1, 6))):
        batch: list[SessionRun] = []
        for _ in range(draw(st.integers(0, 4))):
            start = draw(st.integers(max(0, watermark - LATENESS + 1), watermark + 40))
            name = draw(st.sampled_from("ab"))
            batch.append(run(token, start, start + draw(st.integers(0, 12)), ("acme", name)))
            token += 1
        steps.append(batch)
        if draw(st.booleans()):
            watermark += draw(st.integers(1, 30))
            steps.append(watermark)
    return Story(steps)


def sessions(runs: Sequence[SessionRun]) -> set[tuple[tuple[str, str], datetime, datetime]]:
    """Final sessions, by sorting: the oracle."""
    found: list[tuple[tuple[str, str], datetime, datetime]] = []
    for each in sorted(runs, key=lambda one: (one.conversation, one.start)):
        if found:
            conversation, start, end = found[-1]
            if conversation == each.conversation and each.start < end + GAP * SECOND:
                found[-1] = (conversation, start, max(end, each.end))
                continue
        found.append((each.conversation, each.start, each.end))
    return set(found)


def play(story: Story, restart_after: int) -> tuple[list[SessionPane], int]:
    runner = LocalRunner(WINDOWING, restart_after=restart_after)
    runner.start()
    panes: list[SessionPane] = []
    try:
        for step in story.steps:
            if isinstance(step, list):
                runner.send(step)
            else:
                runner.advance(T + step * SECOND)
            runner.tick(0.15 * SECOND)
            panes += runner.panes()
            if restart_after < 100:
                time.sleep(0.02)
                panes += runner.panes()
        panes += runner.finish(60)
    finally:
        runner.stop()
    return panes, runner.restarts


def check(story: Story, panes: Sequence[SessionPane]) -> None:
    tokens = sorted(token for pane in panes for token in pane.tokens)
    assert tokens == [each.token for each in story.sent()]
    where = {each.token: each for each in story.sent()}
    for pane in panes:
        for token in pane.tokens:
            inside = where[token]
            assert inside.conversation == pane.conversation
            assert pane.start <= inside.start <= inside.end <= pane.end
    final = sessions(story.sent())
    # The last pane of a session shows it whole, and says that it is closed.
    last = {
        session: [
            pane
            for pane in panes
            if pane.conversation == session[0] and session[1] <= pane.start <= session[2]
        ][-1]
        for session in final
    }
    assert {(p.conversation, p.start, p.end) for p in last.values()} == final
    assert all(pane.timing is not Timing.EARLY for pane in last.values())
    closed = [(p.conversation, p.start, p.end) for p in panes if p.timing is Timing.ON_TIME]
    assert len(closed) == len(set(closed))


@given(stories())
@examples(12)
def test_every_run_is_in_one_pane_and_sessions_are_the_oracles(story: Story) -> None:
    panes, _ = play(story, 10_000)
    check(story, panes)


@pytest.mark.slow
@given(stories())
@examples(25)
def test_restarts_change_nothing(story: Story) -> None:
    panes, _ = play(story, 1)
    check(story, panes)


def test_restarts_happen_and_open_sessions_live_on() -> None:
    runner = LocalRunner(WINDOWING, restart_after=5)
    runner.start()
    panes: list[SessionPane] = []
    runner.send([run(1000, 0, 500, ("acme", "long"))])
    wait(runner, 1)
    for step in range(20):
        runner.send([run(step, step * 20, step * 20 + 1)])
        runner.advance(T + step * 20 * SECOND)
        time.sleep(0.02)
        panes += runner.panes()
    until = time.monotonic() + 60
    while not runner.restarts and time.monotonic() < until:  # Beam's thread may lag behind.
        time.sleep(0.02)
        panes += runner.panes()
    assert runner.restarts
    panes += runner.finish(60)
    assert sorted(token for pane in panes for token in pane.tokens) == list(range(20))
    closing = [shown(p) for p in panes if p.timing is Timing.ON_TIME]
    assert len(closing) == 21
    assert ((), 0, 500, Timing.ON_TIME) in closing
