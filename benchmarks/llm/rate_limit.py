"""So many requests a second, as endpoints limit them, and the headers that tell."""

import time

_PLENTY = 1_000_000


class RateLimit:
    """Requests in windows of one second.

    Args:
        per_second: requests allowed in a window; 0 for no limit.
    """

    def __init__(self, per_second: int) -> None:
        self._most = per_second or _PLENTY
        self._window = 0.0
        self._used = 0

    def take(self) -> float:
        """0 if one more request may come now, else the seconds to wait."""
        now = time.monotonic()
        if now - self._window >= 1.0:
            self._window, self._used = now, 0
        self._used += 1
        return self._left(now) if self._used > self._most else 0.0

    def headers(self) -> dict[str, str]:
        """`x-ratelimit-*` as they stand now."""
        return {
            "x-ratelimit-limit-requests": str(self._most),
            "x-ratelimit-remaining-requests": str(max(0, self._most - self._used)),
            "x-ratelimit-reset-requests": f"{self._left(time.monotonic()):.3f}s",
        }

    def _left(self, now: float) -> float:
        return max(0.0, self._window + 1.0 - now)
