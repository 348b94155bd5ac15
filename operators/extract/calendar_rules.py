"""Calendar arithmetic for date expressions: half-open day ranges and how they are written.

Weeks are ISO weeks (Monday first). Seasons are the meteorological ones of the north:
spring is March to May. A `Span` whose label is None needs no explanation in the text.
"""

from datetime import date, timedelta
from typing import NamedTuple

MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
SEASONS = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}

ONE_DAY = timedelta(days=1)


class Span(NamedTuple):
    """Days [start, end) and the words for them."""

    start: date
    end: date
    label: str | None


def write_day(day: date) -> str:
    """`7 May 2023`."""
    return f"{day.day} {MONTHS[day.month - 1]} {day.year}"


def day_span(day: date) -> Span:
    """One day."""
    return Span(day, day + ONE_DAY, write_day(day))


def week_span(day: date) -> Span:
    """The ISO week that holds `day`."""
    monday = day - timedelta(days=day.weekday())
    return Span(monday, monday + timedelta(days=7), f"week of {write_day(monday)}")


def weekend_span(day: date) -> Span:
    """Saturday and Sunday of the ISO week that holds `day`."""
    saturday = day - timedelta(days=day.weekday()) + timedelta(days=5)
    return Span(saturday, saturday + timedelta(days=2), f"weekend of {write_day(saturday)}")


def add_months(day: date, months: int) -> date:
    """First day of the month `months` after the month of `day`."""
    index = day.year * 12 + day.month - 1 + months
    return date(index // 12, index % 12 + 1, 1)


def month_span(day: date) -> Span:
    """The month that holds `day`."""
    first = day.replace(day=1)
    return Span(first, add_months(first, 1), f"{MONTHS[first.month - 1]} {first.year}")


def quarter_span(day: date) -> Span:
    """The quarter that holds `day`."""
    first = date(day.year, (day.month - 1) // 3 * 3 + 1, 1)
    return Span(first, add_months(first, 3), f"Q{(first.month + 2) // 3} {first.year}")


def year_span(year: int) -> Span:
    """A calendar year."""
    return Span(date(year, 1, 1), date(year + 1, 1, 1), str(year))


def season_span(name: str, year: int) -> Span:
    """Season that begins in `year`."""
    first = date(year, SEASONS[name], 1)
    written = f"{year}/{(year + 1) % 100:02d}" if name == "winter" else str(year)
    return Span(first, add_months(first, 3), f"{name} {written}")


def relative_season(name: str, base: date, which: str) -> Span:
    """`last` is the latest ended, `next` the first yet to begin, `this` that of the year."""
    if which == "last":
        spans = (season_span(name, y) for y in (base.year, base.year - 1, base.year - 2))
        return next(s for s in spans if s.end <= base)
    if which == "next":
        spans = (season_span(name, y) for y in (base.year, base.year + 1))
        return next(s for s in spans if s.start > base)
    if name == "winter" and base.month <= 2:
        return season_span(name, base.year - 1)
    return season_span(name, base.year)


def relative_weekday(weekday: int, base: date, which: str) -> date:
    """`last` is the latest before `base`, `next` that of the following ISO week.

    `coming` is the first after `base`, `this` the first on or after it.
    """
    if which == "last":
        return base - timedelta(days=(base.weekday() - weekday - 1) % 7 + 1)
    if which == "next":
        return base - timedelta(days=base.weekday()) + timedelta(days=7 + weekday)
    if which == "coming":
        return base + timedelta(days=(weekday - base.weekday() - 1) % 7 + 1)
    return base + timedelta(days=(weekday - base.weekday()) % 7)


def unit_span(unit: str, base: date, offset: int) -> Span:  # noqa: PLR0911 - one per unit
    """The day, week, weekend, month, quarter, year or decade `offset` units from `base`."""
    if unit in {"day", "night"}:
        return day_span(base + timedelta(days=offset))
    if unit == "week":
        return week_span(base + timedelta(weeks=offset))
    if unit == "fortnight":
        return week_span(base + timedelta(weeks=2 * offset))
    if unit == "weekend":
        return weekend_span(base + timedelta(weeks=offset))
    if unit == "month":
        return month_span(add_months(base, offset))
    if unit == "quarter":
        return quarter_span(add_months(base, 3 * offset))
    if unit == "decade":
        return year_span(base.year + 10 * offset)
    return year_span(base.year + offset)


_RECENT_DAYS = 100


def nearest_year(month: int, day: int, base: date, tense: int, weekday: int | None = None) -> date:
    """The `month`/`day` meant at `base`: the last one in the past tense, the next in the future.

    Without a tense, the next too, unless the last is nearer and of the last months. The current
    day counts for both directions. A `weekday` decides first: it fits one year of three.
    """
    options = [_safe(base.year + y, month, day) for y in (-1, 0, 1)]
    dates = [d for d in options if d is not None]
    if weekday is not None:
        dates = [d for d in dates if d.weekday() == weekday] or dates
    if tense < 0:
        dates = [d for d in dates if d <= base] or dates
        return max(dates)
    if tense > 0:
        dates = [d for d in dates if d >= base] or dates
        return min(dates)
    near = min(dates, key=lambda d: (abs((d - base).days), d))
    if near >= base - timedelta(days=_RECENT_DAYS):
        return near
    return next((d for d in dates if d >= base), near)


def _safe(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:  # 29 February
        return None
