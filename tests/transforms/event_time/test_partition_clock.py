"""Lateness is a function of what stands before a message in its partition."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from transforms.event_time.partition_clock import PartitionClock

NOW = datetime(2025, 6, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def table(hours: list[int]) -> pa.Table:
    times = [NOW - timedelta(days=100) + hour * HOUR for hour in hours]
    return pa.table({"timestamp": pa.array(times, pa.timestamp("us", tz="UTC"))})


def test_behind_the_newest_by_more_than_the_tolerance() -> None:
    judged = PartitionClock(None, 2 * HOUR).judge(table([0, 5, 3, 2, 5]), NOW)

    assert judged.too_late.tolist() == [False, False, False, True, False]


def test_the_newest_event_time_is_told_with_each_message() -> None:
    rows = table([3, 7, 5])
    judged = PartitionClock(None, HOUR).judge(rows, NOW)
    times = rows["timestamp"].cast(pa.int64()).to_pylist()

    assert judged.newest.tolist() == [times[0], times[1], times[1]]


def test_a_date_in_the_future_moves_no_clock() -> None:
    future = pa.table(
        {"timestamp": pa.array([NOW + timedelta(days=900)], pa.timestamp("us", tz="UTC"))}
    )
    clock = PartitionClock(None, HOUR)
    assert not clock.judge(future, NOW).too_late.any()
    assert clock.newest is None
    assert not clock.judge(table([0]), NOW).too_late.any()


@given(st.lists(st.integers(-500, 500), max_size=40), st.integers(1, 50), st.data())
def test_any_batching_gives_the_same_verdicts(
    hours: list[int], tolerance: int, data: st.DataObject
) -> None:
    whole = PartitionClock(None, tolerance * HOUR).judge(table(hours), NOW)

    clock, verdicts, at = PartitionClock(None, tolerance * HOUR), [], 0
    while at < len(hours):
        size = data.draw(st.integers(1, len(hours) - at))
        verdicts.append(clock.judge(table(hours[at : at + size]), NOW).too_late)
        at += size
        clock = PartitionClock(clock.newest, tolerance * HOUR)  # As after a restart.

    joined = np.concatenate(verdicts) if verdicts else np.zeros(0, np.bool_)
    assert joined.tolist() == whole.too_late.tolist()


@given(st.lists(st.integers(-500, 500), max_size=30), st.integers(1, 50))
def test_as_a_plain_loop_says(hours: list[int], tolerance: int) -> None:
    newest, expected = None, []
    for hour in hours:
        expected.append(newest is not None and newest - hour > tolerance)
        newest = hour if newest is None else max(newest, hour)

    judged = PartitionClock(None, tolerance * HOUR).judge(table(hours), NOW)
    assert judged.too_late.tolist() == expected
