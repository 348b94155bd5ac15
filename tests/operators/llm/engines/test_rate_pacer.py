"""Calls are held back as long as the endpoint says, and no longer."""

import asyncio

import pytest

from operators.llm.engines.base import EngineDownError
from operators.llm.engines.rate_pacer import RatePacer


class Time:
    def __init__(self) -> None:
        self.now = 1_000.0
        self.pacer = RatePacer(lambda: self.now, self.sleep, lambda: 1_700_000_000.0)

    async def sleep(self, seconds: float) -> None:
        self.now += seconds

    def held(self, headers: dict[str, str], *, turned_away: bool = False) -> float:
        self.pacer.note(headers, turned_away=turned_away)
        before = self.now
        asyncio.run(self.pacer.wait())
        return self.now - before


def remaining(left: str, reset: str, what: str = "requests") -> dict[str, str]:
    return {f"x-ratelimit-remaining-{what}": left, f"x-ratelimit-reset-{what}": reset}


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [
        *(("1s", 1.0), ("20ms", 0.02), ("0m30.5s", 30.5), ("2", 2.0), (" 1.5 ", 1.5)),
        *(("6m0s", 60.0), ("1h2m3s", 60.0), ("1760000000", 60.0)),
        *(("", 0.0), ("soon", 0.0), ("1s later", 0.0), ("-3", 0.0)),
    ],
)
@pytest.mark.parametrize("what", ["requests", "tokens"])
def test_nothing_remains(reset: str, seconds: float, what: str):
    assert Time().held(remaining("0", reset, what)) == pytest.approx(seconds)


def test_something_remains_or_nothing_is_said():
    assert Time().held(remaining("1", "30s")) == 0
    assert Time().held({}) == 0
    assert Time().held(remaining("unlimited", "30s")) == 0
    assert Time().held({"x-ratelimit-remaining-requests": "0"}) == 0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:50 GMT"}, 30.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:00 GMT"}, 0.0),
        ({"retry-after": "whenever"}, 0.0),
        ({}, 0.0),
        ({"retry-after": "1", **remaining("0", "5s")}, 5.0),
    ],
)
def test_turned_away(headers: dict[str, str], seconds: float):
    assert Time().held(headers, turned_away=True) == pytest.approx(seconds)


def test_a_served_call_says_nothing_by_retry_after():
    assert Time().held({"retry-after": "7"}) == 0


def test_the_longest_hold_counts():
    time = Time()
    time.pacer.note({"retry-after": "9"}, turned_away=True)
    assert time.held({"retry-after": "2"}, turned_away=True) == 9


def test_a_hold_of_hours_is_an_error():
    with pytest.raises(EngineDownError, match="3600 s"):
        Time().held({"retry-after": "3600"}, turned_away=True)
