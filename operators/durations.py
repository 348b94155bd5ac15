"""Durations as people write them in YAML: `30m`, `6h`, `2d`, or ISO 8601 such as `PT6H`."""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

_SHORT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(s|m|h|d|w)\s*", re.IGNORECASE)
_LONGEST = timedelta(days=36_525)
"""A century: longer ones leave the calendar once they are added to a time."""
_TOO_LONG = f"a duration is at most {_LONGEST.days} days"
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_duration(value: object) -> object:
    """`6h` as a `timedelta`; what is not a short form is left to pydantic (ISO 8601).

    >>> parse_duration("90m")
    datetime.timedelta(seconds=5400)
    """
    if isinstance(value, bool | int | float):
        raise ValueError(f"a duration needs a unit: write '{value}h' or '{value}m', not {value}")
    if isinstance(value, str) and (match := _SHORT.fullmatch(value)):
        try:
            return timedelta(**{_UNITS[match[2].lower()]: float(match[1])})
        except OverflowError:
            raise ValueError(_TOO_LONG) from None
    return value


def _bounded(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("a duration must be longer than zero")
    if value > _LONGEST:
        raise ValueError(_TOO_LONG)
    return value


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    AfterValidator(_bounded),
    WithJsonSchema(
        {"type": "string", "description": "30m, 6h, 2d, or ISO 8601 such as PT6H"},
        mode="validation",
    ),
]
"""A positive duration; in JSON always ISO 8601, so `6h` and `PT6H` have one fingerprint."""
