"""Time channel: questions for a time, and questions that give one."""

import re
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from operators.extract.dates import find_dates
from operators.recall.bm25 import Floats, Ints

Days = npt.NDArray[np.int64]

_ASKS_WHEN = re.compile(
    r"^when\b|\bwhen (?:did|was|is|were|will|does|do|has|have|are)\b|\bhow long\b|"
    r"\bhow many (?:days|weeks|months|years)\b|"
    r"\b(?:what|which) (?:date|day|time|week|month|year)s?\b",
    re.IGNORECASE,
)
_TELLS_WHEN = re.compile(
    r"\b(?:yesterday|today|tonight|tomorrow|ago|last|next|week(?:end)?s?|months?|years?|since|"
    r"recently|(?:mon|tues|wednes|thurs|fri|satur|sun)day|"
    r"january|february|march|april|may|june|july|august|september|october|november|december|"
    r"(?:19|20)\d\d|\d+(?:st|nd|rd|th)|\d+ (?:days|hours|minutes))\b",
    re.IGNORECASE,
)
_MAX_DAYS = 62
"""A longer span in a question ("in 2023") leaves too much to tell messages apart."""


def asks_when(question: str) -> bool:
    """Whether the question wants a time for an answer."""
    return bool(_ASKS_WHEN.search(question))


def tells_when(text: str) -> bool:
    """Whether a text holds an expression of time."""
    return bool(_TELLS_WHEN.search(text))


class TimeIndex:
    """The day each message was said on, and the days its facts speak of.

    Args:
        texts: text of each message.
        messages: rows with `timestamp`, in the same order.
        facts: rows with `occurred_start` and `occurred_end` (exclusive).
        fact_message: number of the message of each fact.
    """

    def __init__(
        self,
        texts: Sequence[str],
        messages: Sequence[dict[str, Any]],
        facts: Sequence[dict[str, Any]],
        fact_message: Ints,
    ):
        self._tells = np.array([float(tells_when(t)) for t in texts])
        self._said = np.array([_day(m["timestamp"]) for m in messages], np.int64)
        dated = [i for i, f in enumerate(facts) if f["occurred_start"] and f["occurred_end"]]
        self._dated_message = fact_message[dated]
        self._first = np.array([_day(facts[i]["occurred_start"]) for i in dated], np.int64)
        self._last = np.array([_day(facts[i]["occurred_end"]) for i in dated], np.int64)

    def tells(self, question: str) -> Floats:
        """1 for messages with an expression of time when the question asks for a time."""
        return self._tells if asks_when(question) else np.zeros_like(self._tells)

    def overlaps(self, question: str, asked_at: datetime | None) -> Floats:
        """1 for messages said in, or speaking of, a time that the question names.

        Without `asked_at`, the last message is what "last week" counts from.
        """
        hit = np.zeros(self._said.size, bool)
        if not self._said.size:
            return hit.astype(np.float64)
        base = asked_at.date() if asked_at else date.fromordinal(int(self._said.max()))
        for found in find_dates(question, base):
            first, last = found.first.toordinal(), found.last.toordinal()
            if last - first > _MAX_DAYS:
                continue
            hit |= (self._said >= first) & (self._said < last)
            hit[self._dated_message[(self._first < last) & (self._last > first)]] = True
        return hit.astype(np.float64)


def _day(moment: datetime) -> int:
    return moment.toordinal()
