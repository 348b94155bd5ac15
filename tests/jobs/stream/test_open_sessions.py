"""Open sessions are counted until the watermark has passed their end."""

from datetime import UTC, datetime, timedelta

from jobs.stream.open_sessions import OpenSessions
from transforms.event_time.runs import SessionRun

START = datetime(2025, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def run(conversation: str, hour: int) -> SessionRun:
    return SessionRun(("t", conversation), 1, START + hour * HOUR, START + hour * HOUR)


def test_open_until_the_gap_has_passed() -> None:
    sessions = OpenSessions(6 * HOUR)
    sessions.saw([run("a", 0), run("b", 3), run("a", 1)])

    assert sessions.count(None) == 2
    assert sessions.count(START + 6 * HOUR) == 2
    assert sessions.count(START + 7 * HOUR) == 1
    assert sessions.count(START + 9 * HOUR) == 0


def test_late_messages_do_not_open_it_earlier() -> None:
    sessions = OpenSessions(6 * HOUR)
    sessions.saw([run("a", 5), run("a", 2)])

    assert sessions.count(START + 10 * HOUR) == 1
    assert sessions.count(START + 11 * HOUR) == 0
