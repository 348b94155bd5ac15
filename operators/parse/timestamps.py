"""Times as they are written in input: RFC 3339, epochs, and made-up ones where there are none."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# RFC 3339, section 5.6: 'T' and 'Z' may be lower case and a space may stand for the 'T'.
_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_ZONELESS = re.compile(r"\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?", re.ASCII)
_SHOWN_CHARS = 40
# Before it is rounded: a Decimal such as 1e999999999 would be written out in full.
_MAX_EPOCH_SECONDS = 10**12


class TimestampError(ValueError):
    """A time that cannot be used; `reason` is bad_timestamp or no_time_zone."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def parse_timestamp(text: str) -> datetime:
    """The instant that an RFC 3339 time means, in UTC; digits below a microsecond are dropped.

    Raises:
        TimestampError: not RFC 3339, no zone, or outside the years 1 to 9999 in UTC.
    """
    if _RFC3339.fullmatch(text) is None:
        raise _refusal(text)
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        detail = f"{shown(text)} is not a time that exists ({error}): correct the value"
        raise TimestampError("bad_timestamp", detail) from error


def epoch_timestamp(seconds: float | str) -> str:
    """RFC 3339 for seconds since 1970, to the microsecond; exact for strings such as Slack's.

    Raises:
        TimestampError: not a number, or outside the years 1 to 9999.
    """
    try:
        exact = Decimal(str(seconds))
        if not abs(exact) < _MAX_EPOCH_SECONDS:
            raise OverflowError("outside the years 1 to 9999")
        micros = round(exact * 1_000_000)
        return (EPOCH + timedelta(microseconds=micros)).isoformat()
    except (ArithmeticError, ValueError) as error:
        detail = f"{shown(str(seconds))} is no time in seconds since 1970: correct the value"
        raise TimestampError("bad_timestamp", detail) from error


def _refusal(text: str) -> TimestampError:
    if _ZONELESS.fullmatch(text) is not None:
        detail = f"{shown(text)} has no time zone: append Z for UTC or an offset such as +02:00"
        return TimestampError("no_time_zone", detail)
    detail = f"{shown(text)} is not RFC 3339: write it like 2024-05-31T18:00:00Z"
    return TimestampError("bad_timestamp", detail)


def shown(text: str) -> str:
    """`text` in quotes, cut to what a message can hold."""
    return repr(text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "...")
