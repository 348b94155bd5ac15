"""The clock of a partition: the newest event time seen, and what is too late against it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa

MICROSECOND = timedelta(microseconds=1)
_FUTURE = timedelta(days=1)
_NEVER = np.iinfo(np.int64).min

Micros = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Judged:
    """What the clock says of a partition's next messages, in their order.

    Attributes:
        too_late: whether each is later than allowed.
        newest: newest event time in the partition before each (microseconds; the message's
            own time where it is the first).
    """

    too_late: npt.NDArray[np.bool_]
    newest: Micros


class PartitionClock:
    """Newest event time of a partition.

    Lateness is judged message by message against what stands before it in its own
    partition, never against when anything arrived or what other partitions did. So a log
    that is read again after a crash, in other pieces, gives the same verdicts.

    Args:
        newest: the newest event time up to where reading starts (microseconds since 1970);
            None at the beginning.
        tolerance: how far behind the newest message is still in time: session gap, allowed
            lateness and out-of-orderness together.
    """

    def __init__(self, newest: int | None, tolerance: timedelta) -> None:
        self._newest = _NEVER if newest is None else newest
        self._tolerance = tolerance // MICROSECOND

    @property
    def newest(self) -> int | None:
        """Newest event time so far, in microseconds since 1970."""
        return None if self._newest == _NEVER else self._newest

    def judge(self, messages: pa.Table, now: datetime) -> Judged:
        """Judge the next messages of the partition and move on.

        A message from the future (a day ahead of `now`, the wall clock) moves no clock: one
        wrong date must not make all that follows too late.
        """
        times = messages["timestamp"].cast(pa.int64()).to_numpy()
        if len(times) == 0:
            return Judged(np.zeros(0, np.bool_), np.zeros(0, np.int64))
        limit = int((now + _FUTURE).timestamp() * 1_000_000)
        trusted = np.where(times <= limit, times, _NEVER)
        before = np.maximum.accumulate(np.concatenate([[self._newest], trusted]))
        self._newest = int(before[-1])
        newest = np.maximum(before[:-1], times)
        return Judged(newest - times > self._tolerance, newest)
