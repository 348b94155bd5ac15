"""Holds calls back while an endpoint says that it takes none."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from email.utils import parsedate_to_datetime

from operators.llm.engines.base import EngineDownError

_LONGEST_HOLD = 600.0
_LONGEST_RESET = 60.0
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


class RatePacer:
    """One per endpoint: what one answer says about the rate holds for all calls.

    Read are `Retry-After` and `Retry-After-Ms`, and `X-RateLimit-Remaining-Requests` and
    `-Tokens` with their `X-RateLimit-Reset-...`. Cost: nothing while nothing is held back.

    Args:
        now: seconds of a steady clock.
        sleep: waits for so many seconds.
        today: seconds since 1970, for `Retry-After` given as a date.
    """

    def __init__(
        self,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        today: Callable[[], float] = time.time,
    ) -> None:
        self._now = now
        self._sleep = sleep
        self._today = today
        self._until = float("-inf")

    async def wait(self) -> None:
        """Return when calls may be sent.

        Raises:
            EngineDownError: that is more than ten minutes away.
        """
        while (left := self._until - self._now()) > 0:
            if left > _LONGEST_HOLD:
                raise EngineDownError(
                    f"The endpoint takes no calls for another {left:.0f} s (Retry-After). Run "
                    "again then; what is answered is kept."
                )
            await self._sleep(left)

    def note(self, headers: Mapping[str, str], *, turned_away: bool) -> None:
        """Read the headers of a response.

        Args:
            headers: by name in lower case, or a mapping that does not tell cases apart.
            turned_away: the endpoint did not serve the call (429, 503).
        """
        holds = [_reset(headers, "requests"), _reset(headers, "tokens")]
        if turned_away:
            holds.append(self._retry_after(headers))
        hold = max(holds)
        if hold > 0:
            self._until = max(self._until, self._now() + hold)

    def _retry_after(self, headers: Mapping[str, str]) -> float:
        milliseconds = _number(headers.get("retry-after-ms", ""))
        if milliseconds is not None:
            return milliseconds / 1000
        value = headers.get("retry-after", "")
        seconds = _number(value)
        if seconds is not None:
            return seconds
        try:
            return parsedate_to_datetime(value).timestamp() - self._today()
        except ValueError:
            return 0.0


def _reset(headers: Mapping[str, str], what: str) -> float:
    """Seconds until `what` is there again; 0 where some is left, or nothing is said.

    Some servers give a point in time instead; with the bound, that only costs a pause.
    """
    remaining = _number(headers.get(f"x-ratelimit-remaining-{what}", ""))
    if remaining is None or remaining > 0:
        return 0.0
    return min(_duration(headers.get(f"x-ratelimit-reset-{what}", "")), _LONGEST_RESET)


def _duration(text: str) -> float:
    """Seconds of `6m0s`, `20ms`, `1.5`; 0 for what is none."""
    seconds = _number(text)
    if seconds is not None:
        return seconds
    if not re.fullmatch(f"(?:{_PART.pattern})+", text.strip()):
        return 0.0
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\s*\d+(?:\.\d+)?\s*", text) else None
