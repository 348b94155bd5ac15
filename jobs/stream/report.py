"""What a stream has done so far: counts, rates, freshness."""

import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_WINDOW_SECONDS = 60.0
_SAMPLES = 5_000


@dataclass
class StreamReport:
    """Counts since the start; rates and freshness over the last minute.

    Freshness of a parcel of messages: from when it was read to when it was committed, in
    seconds. From then on every search finds it.
    """

    counters: dict[str, Counter[str]] = field(default_factory=dict[str, Counter[str]])
    commits: int = 0
    messages: int = 0
    last_commit: float | None = None
    stopped: str | None = None
    spent: Mapping[str, float] = field(default_factory=dict[str, float])
    _commit_seconds: deque[tuple[float, float]] = field(
        default_factory=lambda: deque[tuple[float, float]](maxlen=_SAMPLES)
    )
    _fresh: deque[tuple[float, float]] = field(
        default_factory=lambda: deque[tuple[float, float]](maxlen=_SAMPLES)
    )
    _read: deque[tuple[float, int]] = field(
        default_factory=lambda: deque[tuple[float, int]](maxlen=_SAMPLES)
    )

    def add(self, counters: Mapping[str, Mapping[str, int]]) -> None:
        """Counts of a built piece."""
        for step, counts in counters.items():
            self.counters.setdefault(step, Counter()).update(counts)

    def read(self, messages: int) -> None:
        """Messages have been read."""
        self.messages += messages
        self._read.append((time.monotonic(), messages))

    def committed(self, seconds: float, freshness: Sequence[float]) -> None:
        """A commit is done."""
        now = time.monotonic()
        self.commits += 1
        self.last_commit = now
        self._commit_seconds.append((now, seconds))
        self._fresh.extend((now, value) for value in freshness)

    def rate(self) -> float:
        """Messages read per second, over the last minute."""
        since = time.monotonic() - _WINDOW_SECONDS
        recent = [(moment, count) for moment, count in self._read if moment > since]
        if not recent:
            return 0.0
        # From the first reading on: a stream that has just started is not slow.
        span = max(time.monotonic() - recent[0][0], 1.0)
        return sum(count for _, count in recent) / span

    def freshness(self) -> dict[str, float]:
        """Median and 95th percentile in seconds, over the last minute; empty if none."""
        return _percentiles(self._fresh)

    def commit_seconds(self) -> dict[str, float]:
        """Median and 95th percentile of the time a commit takes; empty if none."""
        return _percentiles(self._commit_seconds)

    def to_json(self) -> dict[str, Any]:
        """The counts as plain values, for `runs.counters`."""
        return {
            "counters": {step: dict(sorted(c.items())) for step, c in self.counters.items()},
            "commits": self.commits,
            "messages": self.messages,
            "stopped": self.stopped,
            "spent": dict(self.spent),
        }


def _percentiles(samples: deque[tuple[float, float]]) -> dict[str, float]:
    since = time.monotonic() - _WINDOW_SECONDS
    values = sorted(value for moment, value in samples if moment > since)
    if not values:
        return {}
    middle, high = values[len(values) // 2], values[min(len(values) - 1, len(values) * 95 // 100)]
    return {"p50": round(middle, 3), "p95": round(high, 3)}
