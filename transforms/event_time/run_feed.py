"""An unbounded source that reads runs and watermarks from a feed in this process."""

import itertools
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, cast

import apache_beam as beam
from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator
from apache_beam.transforms.core import RestrictionProvider
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Duration, Timestamp

from transforms.event_time.runs import SessionRun
from transforms.event_time.session_windows import micros

# A run, or a watermark in microseconds.
FeedItem = SessionRun | int

_END = (1 << 62) - 1
_WAIT_SECONDS = 0.05
_FEEDS: dict[str, "RunFeed"] = {}
_SERIAL = itertools.count()


class RunFeed:
    """What one thread puts and a pipeline in this process reads, by position."""

    def __init__(self) -> None:
        self._items: deque[FeedItem] = deque()
        self._first = 0
        self._is_ended = False
        self._changed = threading.Condition()
        self.token = f"runs-{next(_SERIAL)}"
        _FEEDS[self.token] = self

    def put(self, items: Iterable[FeedItem]) -> None:
        """Append."""
        with self._changed:
            self._items.extend(items)
            self._changed.notify_all()

    def end(self) -> None:
        """Nothing follows."""
        with self._changed:
            self._is_ended = True
            self._changed.notify_all()

    def close(self) -> None:
        """Readers find an ended feed."""
        self.end()
        _FEEDS.pop(self.token, None)

    def start_at(self, position: int) -> None:
        """What comes before is committed, and forgotten."""
        with self._changed:
            while self._first < position and self._items:
                self._items.popleft()
                self._first += 1

    def read(self, position: int) -> FeedItem | None:
        """The item at a position; None: nothing there within a short while."""
        with self._changed:
            offset = position - self._first
            if offset >= len(self._items) and not self._is_ended:
                self._changed.wait(_WAIT_SECONDS)
            return self._items[offset] if offset < len(self._items) else None

    def is_over(self, position: int) -> bool:
        """Whether nothing will ever be at a position."""
        with self._changed:
            return self._is_ended and position >= self._first + len(self._items)


class _WholeFeed(RestrictionProvider):
    """A feed is one restriction: positions without an end."""

    def initial_restriction(self, element: str) -> OffsetRange:  # noqa: ARG002
        return OffsetRange(0, _END)

    def create_tracker(self, restriction: OffsetRange) -> OffsetRestrictionTracker:
        return OffsetRestrictionTracker(restriction)

    def restriction_size(self, element: str, restriction: OffsetRange) -> int:  # noqa: ARG002
        return 1

    def truncate(self, element: str, restriction: OffsetRange) -> None:  # noqa: ARG002
        return None


_TRACKER: Any = beam.DoFn.RestrictionParam(_WholeFeed())
_ESTIMATOR: Any = beam.DoFn.WatermarkEstimatorParam(ManualWatermarkEstimator.default_provider())


class ReadFeed(beam.DoFn):
    """Token of a feed -> its runs, stamped with their ends; gives way when there are none."""

    @beam.DoFn.unbounded_per_element()
    def process(
        self,
        element: str,
        tracker: Any = _TRACKER,
        estimator: Any = _ESTIMATOR,
    ) -> Iterator[TimestampedValue[SessionRun]]:
        """Read from the restriction's start."""
        position = cast("int", tracker.current_restriction().start)
        feed = _FEEDS.get(element)
        if feed is not None:
            feed.start_at(position)
        while feed is not None and not feed.is_over(position):
            item = feed.read(position)
            if item is None:
                tracker.defer_remainder(Duration(micros=1))
                return
            if not tracker.try_claim(position):
                return
            position += 1
            if isinstance(item, SessionRun):
                yield TimestampedValue(item, Timestamp(micros=micros(item.end)))
            else:
                estimator.set_watermark(Timestamp(micros=item))
        tracker.try_claim(_END - 1)
