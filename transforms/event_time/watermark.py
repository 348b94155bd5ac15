"""The watermark of several partitions: how far event time has come in all that are live."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from operators.parse.timestamps import EPOCH


@dataclass
class _Partition:
    newest: datetime | None
    heard: float
    closed: bool = False


class Watermark:
    """The slowest live partition's newest event time, less the out-of-orderness.

    A partition that has been quiet for `idle` seconds, or is closed, holds nothing back.
    Where all are quiet, event time goes on at the pace of the wall clock, so that the last
    sessions close, too. That decides only when something is built, never what comes out:
    lateness is judged by `PartitionClock`.
    """

    def __init__(self, out_of_orderness: timedelta, idle: timedelta) -> None:
        self._behind = out_of_orderness
        self._idle = idle.total_seconds()
        self._partitions: dict[tuple[str, str], _Partition] = {}
        self._current: datetime | None = None

    @property
    def current(self) -> datetime | None:
        """The watermark as last computed; None before any message."""
        return self._current

    def heard(self, partition: tuple[str, str], newest: int | None, now: float) -> None:
        """A partition has brought something, or is known to be there; `now` is monotonic."""
        known = self._partitions.setdefault(partition, _Partition(None, now))
        known.heard = now
        if newest is not None:
            known.newest = EPOCH + timedelta(microseconds=newest)

    def closed(self, partition: tuple[str, str]) -> None:
        """Nothing will follow in this partition."""
        if partition in self._partitions:
            self._partitions[partition].closed = True

    def advance(self, now: float) -> datetime | None:
        """The watermark at `now`; it never goes back."""
        live = [p for p in self._partitions.values() if not p.closed and self._is_live(p, now)]
        moment = self._of_live(live) if live else self._of_quiet(now)
        if moment is not None and (self._current is None or moment > self._current):
            self._current = moment
        return self._current

    def _is_live(self, partition: _Partition, now: float) -> bool:
        return now - partition.heard < self._idle

    def _of_live(self, live: list[_Partition]) -> datetime | None:
        times = [p.newest for p in live]
        if any(time is None for time in times):  # One that has brought nothing yet, but may.
            return None
        return min(time for time in times if time is not None) - self._behind

    def _of_quiet(self, now: float) -> datetime | None:
        times = [p.newest for p in self._partitions.values() if p.newest is not None]
        if not times:
            return None
        quiet = now - max(p.heard for p in self._partitions.values())
        return max(times) - self._behind + timedelta(seconds=quiet)
