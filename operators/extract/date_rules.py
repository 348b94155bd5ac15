"""One rule per kind of date expression: a match, the day of the message and the tense give days.

A rule returns None where the words give no date after all ("I read it in two weeks").
"""

import re
from datetime import date, datetime, time, timedelta
from functools import lru_cache

from operators.extract.calendar_rules import (
    MONTHS,
    ONE_DAY,
    SEASONS,
    WEEKDAYS,
    Span,
    day_span,
    month_span,
    nearest_year,
    relative_season,
    relative_weekday,
    season_span,
    unit_span,
    weekend_span,
    year_span,
)

_ONE_TO_TWELVE = "one two three four five six seven eight nine ten eleven twelve"
_WORDS = {word: n for n, word in enumerate(_ONE_TO_TWELVE.split(" "), 1)} | {
    "a": 1, "an": 1, "a couple": 2, "a couple of": 2, "couple": 2, "couple of": 2,
}  # fmt: skip


def _which(words: str) -> str:
    """`last`, `next`, `coming` or `this` for a determiner."""
    words = words.lower().strip()
    if words in {"last", "this past", "the past", "past", "the previous"}:
        return "last"
    if words in {"next", "the following", "following"}:
        return "next"
    return "coming" if "coming" in words else "this"


def _month(word: str) -> int:
    return next(i for i, m in enumerate(MONTHS, 1) if m[:3].lower() == word[:3].lower())


def _weekday(word: str) -> int:
    return next(i for i, d in enumerate(WEEKDAYS) if d[:3] == word[:3].lower())


def _count(words: str) -> int | None:
    """The number written, or None where it is vague."""
    words = words.lower().strip()
    return int(words) if words.isdigit() else _WORDS.get(words)


def iso(m: re.Match[str], _base: date, _tense: int) -> Span:
    """`2023-05-07`."""
    return day_span(date(int(m["y"]), int(m["m"]), int(m["d"])))._replace(label=None)


def day_month(m: re.Match[str], base: date, tense: int) -> Span:
    """`3 May`, `May 3rd, 2023`."""
    month, day = _month(m["mon"]), int(m["d"])
    if m["y"]:
        return day_span(date(int(m["y"]), month, day))._replace(label=None)
    weekday = _weekday(m["dow"]) if m["dow"] else None
    return day_span(nearest_year(month, day, base, tense, weekday))


def month_year(m: re.Match[str], _base: date, _tense: int) -> Span:
    """`May 2023`."""
    return month_span(date(int(m["y"]), _month(m["mon"]), 1))._replace(label=None)


def _since(span: Span, words: str, base: date) -> Span:
    """`since X` lasts from the start of X to the day of the message."""
    if words.lower().startswith("since") and span.start <= base:
        return Span(span.start, base + ONE_DAY, span.label)
    return span


def month_alone(m: re.Match[str], base: date, tense: int) -> Span:
    """`in March`, `last March`, `since March`."""
    month, words = _month(m["mon"]), m["p"].lower()
    first = base.replace(day=1)
    if words.startswith(("last", "this past", "past")):
        found = nearest_year(month, 1, first - ONE_DAY, -1)
    elif words.startswith(("next", "this coming", "coming")):
        found = nearest_year(month, 1, first + timedelta(days=31), 1)
    elif words.startswith("this"):
        found = date(base.year, month, 1)
    elif words.startswith(("since", "back in")):
        found = nearest_year(month, 1, base, -1)
    else:
        found = nearest_year(month, 1, first, tense)
    return _since(month_span(found), words, base)


def year(m: re.Match[str], base: date, _tense: int) -> Span:
    """`in 2019`, `since 2019`."""
    return _since(year_span(int(m["y"]))._replace(label=None), m["p"], base)


def season_year(m: re.Match[str], _base: date, _tense: int) -> Span:
    """`summer of 2019`."""
    return season_span(m["s"].lower(), int(m["y"]))._replace(label=None)


# How far "a few <unit>" reaches, in days: (nearest, farthest).
_VAGUE_DAYS = {
    "day": (2, 7),
    "night": (2, 7),
    "week": (14, 42),
    "month": (60, 240),
    "year": (730, 2555),
}


def ago(m: re.Match[str], base: date, _tense: int) -> Span | None:
    """`two weeks ago`, `a few days ago`."""
    unit, count = m["u"].lower(), _count(m["n"])
    if unit in {"hour", "minute"}:
        return day_span(base)
    if count is None:
        near, far = _VAGUE_DAYS.get(unit, (0, 0))
        if not far:
            return None
        return Span(base - timedelta(days=far), base - timedelta(days=near - 1), None)
    return unit_span(unit, base, -count)


_LASTED = re.compile(
    r"\b(?:first|last|only|never|no|not|none|nobody|nothing|best|worst|biggest|most|least|once|twice|times|\w+n['’]t)\b[^.;!?\n]*$",
    re.IGNORECASE,
)


def ahead(m: re.Match[str], base: date, tense: int) -> Span | None:
    """`in two weeks`: in the past tense it is how long something took.

    So it is after a superlative or a denial: "the first day off in nine years".
    """
    unit, count = m["u"].lower(), _count(m["n"])
    lasted = m.group().lower().startswith("in") and (
        tense < 0
        or (unit in {"hour", "minute"} and tense == 0)
        or _LASTED.search(m.string, 0, m.start())
    )
    if count is None or lasted:
        return None
    return day_span(base) if unit in {"hour", "minute"} else unit_span(unit, base, count)


_UNIT_DAYS = {
    "day": 1,
    "night": 1,
    "week": 7,
    "weekend": 7,
    "month": 30,
    "year": 365,
    "decade": 3652,
}


def stretch(m: re.Match[str], base: date, _tense: int) -> Span | None:
    """`the last two weeks`: a stretch that ends, or begins, with the day of the message."""
    days = _UNIT_DAYS.get(m["u"].lower())
    count = (_count(m["n"]) if m["n"] else 1) or 4
    if days is None:
        return None
    length = timedelta(days=days * count)
    if _which(m["w"]) == "last":
        return Span(base - length, base + ONE_DAY, None)
    return Span(base, base + length + ONE_DAY, None)


_OFFSETS = {
    "day before yesterday": -2,
    "day after tomorrow": 2,
    "yesterday": -1,
    "last": -1,
    "tomorrow": 1,
}


def day_word(m: re.Match[str], base: date, _tense: int) -> Span:
    """`yesterday`, `last night`, `the day after tomorrow`."""
    words = m.group().lower().removeprefix("the ")
    offset = next((days for start, days in _OFFSETS.items() if words.startswith(start)), 0)
    return day_span(base + timedelta(days=offset))


def dow(m: re.Match[str], base: date, tense: int) -> Span:
    """`last Saturday`, `on Friday`."""
    weekday, words = _weekday(m["dow"]), m["w"].lower()
    if words in {"on", "by", "until", "for", "since"} or words == "this":
        if tense < 0 or words == "since":
            which = "last"
        else:
            which = "this" if words in {"this", "by"} else "coming"
    else:
        which = _which(words)
    return _since(day_span(relative_weekday(weekday, base, which)), words, base)


def before_last(m: re.Match[str], base: date, _tense: int) -> Span:
    """`the week before last`."""
    return unit_span(m["u"].lower(), base, -2)


def unit_word(m: re.Match[str], base: date, tense: int) -> Span | None:
    """`last week`, `this summer`, `next year`."""
    unit, which = m["u"].lower(), _which(m["w"])
    if unit in SEASONS:
        return relative_season(unit, base, "next" if which == "coming" else which)
    if unit == "weekend" and which in {"this", "coming"} and m["w"].lower() == "this" and tense < 0:
        return unit_span(unit, base, 0 if base.weekday() >= 5 else -1)
    if unit == "weekend" and which == "coming":
        return unit_span(unit, base, 0 if base.weekday() < 5 else 1)
    return unit_span(unit, base, {"last": -1, "this": 0}.get(which, 1))


def the_weekend(_m: re.Match[str], base: date, tense: int) -> Span:
    """`over the weekend`."""
    if tense < 0 and base.weekday() < 5:
        return weekend_span(base - timedelta(weeks=1))
    return weekend_span(base)


_HOLIDAYS = {"christmas": (12, 25), "halloween": (10, 31), "valentine": (2, 14), "new year": (1, 1)}


def holiday(m: re.Match[str], base: date, _tense: int) -> Span:
    """`last Christmas`."""
    name = m["h"].lower()
    month, day = next(when for start, when in _HOLIDAYS.items() if name.startswith(start))
    if "eve" in name.split():
        month, day = (12, 31) if name.startswith("new") else (month, day - 1)
    which = _which(m["w"])
    if which == "last":
        return day_span(nearest_year(month, day, base - ONE_DAY, -1))
    if which == "next":
        return day_span(nearest_year(month, day, base + ONE_DAY, 1))
    return day_span(date(base.year, month, day))


def day_of_month(m: re.Match[str], base: date, tense: int) -> Span | None:
    """`on the 14th`."""
    day = int(m["d"])
    found: date | None = None  # months without that day are passed over
    for offset in (-1, 0, 1):
        first = unit_span("month", base, offset).start
        try:
            when = first.replace(day=day)
        except ValueError:
            continue
        if tense < 0 and when > base:
            break
        found = when
        if tense >= 0 and when >= base:
            break
    return day_span(found) if found else None


def weekday_of_month(m: re.Match[str], base: date, _tense: int) -> Span | None:
    """`Saturday the 5th`: the nearest month where the two agree."""
    weekday, day = _weekday(m["dow"]), int(m["d"])
    fits: list[date] = []
    for offset in range(-6, 7):
        first = unit_span("month", base, offset).start
        try:
            when = first.replace(day=day)
        except ValueError:
            continue
        if when.weekday() == weekday:
            fits.append(when)
    return day_span(min(fits, key=lambda d: abs((d - base).days))) if fits else None


def numeric(m: re.Match[str], base: date, _tense: int) -> Span | None:
    """`12/25/2022`, `14.03.2022`."""
    found = _parse_numeric(m.group(), base)
    return None if found is None else day_span(found)


@lru_cache(maxsize=4096)
def _parse_numeric(words: str, base: date) -> date | None:
    """dateparser on one numeric date; month first with slashes, day first with dots."""
    import dateparser  # noqa: PLC0415 - half a second to import, and seldom needed

    found = dateparser.parse(
        words,
        languages=["en"],
        settings={
            "RELATIVE_BASE": datetime.combine(base, time()),
            "PREFER_DATES_FROM": "past",
            "DATE_ORDER": "DMY" if "." in words else "MDY",
            "STRICT_PARSING": True,
        },
    )
    return None if found is None else found.date()
