"""When a found fact happened: the model's days where the source bears them out, else the rules'."""

import re
from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from operators.extract.calendar_rules import ONE_DAY, day_span, month_span, year_span
from operators.extract.dates import Dated, find_dates
from operators.extract.evidence import Evidence
from operators.extract.llm_output import FoundFact
from operators.extract.quotes import locate

_ISO = re.compile(r"\s*((?:1[0-9]|2[0-9])\d\d)(?:-(\d\d?)(?:-(\d\d?))?)?")
_SHARP_DAYS = 31  # a day or month tells more than "since 2019"


class Time(NamedTuple):
    """Days [first, last) and the words that gave them; None where there are none."""

    first: date | None
    last: date | None
    words: str | None


def when(fact: FoundFact, main: Evidence, shown: Sequence[Evidence]) -> Time:
    """The time a fact speaks of.

    First the model's own days, if the source supports them; else the date rules on the words
    it quotes, in their place in the message; else an absolute date in the statement.
    """
    words = fact.time_text.strip() or None
    days = _given_days(fact)
    if days and any(one.has_days(*days) for one in shown):
        return Time(*days, words)
    for quoted in (fact.time_text, fact.quote):
        spot = locate(quoted, main.text)
        found = _sharpest([d for d in main.dates if spot and d.start < spot[1] and spot[0] < d.end])
        if found:
            return Time(found.first, found.last, words or main.text[found.start : found.end])
    said = _sharpest(find_dates(fact.time_text, main.base)) if words else None
    if said and any(one.has_days(said.first, said.last, fact.time_text) for one in shown):
        return Time(said.first, said.last, words)
    told = _sharpest(find_dates(fact.text, main.base, only_absolute=True))
    if told:
        return Time(told.first, told.last, words or fact.text[told.start : told.end])
    return Time(None, None, None)


def _given_days(fact: FoundFact) -> tuple[date, date] | None:
    """Days from `start` to `end`, both included; in order, though the answer has them reversed."""
    first, last = _days(fact.start), _days(fact.end)
    spans = [span for span in (first, last) if span]
    if not spans:
        return None
    return min(span[0] for span in spans), max(span[1] for span in spans)


def _days(iso: str) -> tuple[date, date] | None:
    match = _ISO.match(iso)
    if match is None:
        return None
    year, month, day = (int(part) if part else None for part in match.groups())
    try:
        if year and month and day:
            span = day_span(date(year, month, day))
        elif year and month:
            span = month_span(date(year, month, 1))
        else:
            span = year_span(year or 1)
    except ValueError:  # 31 June
        return None
    return span.start, max(span.end, span.start + ONE_DAY)


def _sharpest(dates: Sequence[Dated]) -> Dated | None:
    sharp = [d for d in dates if (d.last - d.first).days <= _SHARP_DAYS]
    return next(iter([*sharp, *dates]), None)
