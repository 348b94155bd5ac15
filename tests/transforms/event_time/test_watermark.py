"""The watermark follows the slowest partition that is alive."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.parse.timestamps import EPOCH
from transforms.event_time.watermark import Watermark

SECOND = 1_000_000
A, B = ("s", "a"), ("s", "b")


def at(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


@pytest.fixture
def watermark() -> Watermark:
    return Watermark(timedelta(seconds=10), timedelta(seconds=30))


def test_before_any_message(watermark: Watermark) -> None:
    assert watermark.advance(0.0) is None


def test_the_slowest_partition_holds_it_back(watermark: Watermark) -> None:
    watermark.heard(A, 1000 * SECOND, 0.0)
    watermark.heard(B, 500 * SECOND, 0.0)
    assert watermark.advance(1.0) == at(490)


def test_a_partition_that_may_still_bring_its_first_message(watermark: Watermark) -> None:
    watermark.heard(A, 1000 * SECOND, 0.0)
    watermark.heard(B, None, 0.0)
    assert watermark.advance(1.0) is None
    watermark.heard(A, 1000 * SECOND, 31.0)
    assert watermark.advance(31.0) == at(990)


def test_an_idle_partition_holds_nothing_back(watermark: Watermark) -> None:
    watermark.heard(B, 500 * SECOND, 0.0)
    watermark.heard(A, 1000 * SECOND, 40.0)
    assert watermark.advance(41.0) == at(990)


def test_a_closed_partition_holds_nothing_back(watermark: Watermark) -> None:
    watermark.heard(A, 1000 * SECOND, 0.0)
    watermark.heard(B, 500 * SECOND, 0.0)
    watermark.closed(B)
    assert watermark.advance(1.0) == at(990)


def test_where_all_are_quiet_time_goes_on_with_the_wall_clock(watermark: Watermark) -> None:
    watermark.heard(A, 1000 * SECOND, 0.0)
    watermark.heard(B, 500 * SECOND, 0.0)
    assert watermark.advance(100.0) == at(1000 - 10 + 100)


@given(
    st.lists(
        st.tuples(st.sampled_from([A, B]), st.integers(0, 10_000), st.floats(0, 20)), max_size=30
    )
)
def test_never_back(events: list[tuple[tuple[str, str], int, float]]) -> None:
    watermark = Watermark(timedelta(seconds=10), timedelta(seconds=30))
    now, last, newest = 0.0, None, {A: None, B: None}
    for partition, seconds, waited in events:
        now += waited
        newest[partition] = max(newest[partition] or 0, seconds * SECOND)
        watermark.heard(partition, newest[partition], now)
        moment = watermark.advance(now)
        assert last is None or (moment is not None and moment >= last)
        last = moment
