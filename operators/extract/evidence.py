"""What a piece of conversation holds that a statement may rest on: words, numbers, days."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

from operators.extract.calendar_rules import MONTHS, SEASONS, WEEKDAYS, unit_span
from operators.extract.dates import Dated, find_dates
from operators.extract.numerals import find_numbers, numbers_said

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_SHARP_DAYS = 9  # a day inside "last weekend" or "last week" is what the words may mean
_VAGUE = re.compile(
    r"\b(?:ago|few|couple|several|last|next|past|coming|recent\w*)\b", re.IGNORECASE
)
_UNIT = re.compile(r"[\s-]*(?P<u>day|week|month|year|decade)s?\b", re.IGNORECASE)
_NEAR_DAYS = 14
_LONGEST_STEP = 200
_MONTH_DAYS, _SEASON_DAYS, _YEAR_DAYS = 31, 92, 366
_DEMONYM = re.compile(r"(?:ish|ese|ian|ean|an|i)$")
_LEAST_STEM, _MOST_REST = 4, 3


def words_of(text: str) -> Iterator[str]:
    """Words without case, accents and possessives."""
    plain = unicodedata.normalize("NFKD", text).replace("’", "'")
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    for match in _WORD.finditer(plain):
        word = match.group().casefold()
        yield word.removesuffix("'s") if word.endswith("'s") else word


def stem(word: str) -> str:
    """The word without a plural ending."""
    if word.endswith("ies") and len(word) > _LEAST_STEM:
        return word[:-3] + "y"
    if word.endswith(("ses", "xes", "ches", "shes", "zes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word


@dataclass(frozen=True)
class _Days:
    """Days [first, last) that are spoken of; `loose` where a day among them may be meant."""

    first: date
    last: date
    loose: bool


@dataclass(frozen=True)
class Evidence:
    """A piece of conversation, said on day `base` (UTC)."""

    text: str
    base: date

    @cached_property
    def dates(self) -> list[Dated]:
        """Date expressions of the text, resolved."""
        return find_dates(self.text, self.base)

    @cached_property
    def _told(self) -> str:
        """The text with the absolute form of its dates."""
        return " ".join([self.text, *(d.label for d in self.dates if d.label)])

    @cached_property
    def _words(self) -> frozenset[str]:
        words = set(words_of(self._told))
        words |= {part for word in words for part in word.split("'")}  # d'Orsay
        return frozenset(words | {stem(word) for word in words})

    @cached_property
    def _numbers(self) -> frozenset[str]:
        return numbers_said(self._told)

    @cached_property
    def _folded(self) -> str:
        return " ".join(words_of(self.text))

    @cached_property
    def _days(self) -> list[_Days]:
        days = [
            _Days(
                d.first,
                d.last,
                (d.last - d.first).days <= _SHARP_DAYS
                or _VAGUE.search(self.text, d.start, d.end) is not None,
            )
            for d in self.dates
        ]
        return days + list(self._distances())

    def _distances(self) -> Iterator[_Days]:
        """Days a said stretch away, either way: of "we've had him for 3 years"."""
        for number in find_numbers(self.text):
            unit = _UNIT.match(self.text, number.end)
            count = float(number.value)
            if unit and count.is_integer() and count <= _LONGEST_STEP:
                for sign in (-1, 1):
                    try:
                        span = unit_span(unit["u"].lower(), self.base, sign * int(count))
                    except (ValueError, OverflowError):  # before year 1
                        continue
                    yield _Days(span.start, span.end, loose=True)

    def has_word(self, word: str) -> bool:
        """Whether the text holds a word: in any case, number or possessive form.

        A word for a people or a language counts with its country: Swedish, Sweden.
        """
        if word in self._words or stem(word) in self._words:
            return True
        root = _DEMONYM.sub("", word)
        if root == word or len(root) < _LEAST_STEM:
            return False
        return any(w.startswith(root) and len(w) - len(root) <= _MOST_REST for w in self._words)

    def has_number(self, value: str) -> bool:
        """Whether the text holds a number (`numerals.Number.value`), in digits or in words."""
        return value in self._numbers

    def has_days(self, first: date, last: date, words: str = "") -> bool:
        """Whether days [first, last) follow from the text, or `words` for them stand in it.

        They follow if a date expression, resolved against the day of the message, names them,
        or days inside them, or is too vague to exclude them.
        """
        folded = " ".join(words_of(words))
        if folded and f" {folded} " in f" {self._folded} ":
            return True
        tomorrow = self.base + timedelta(days=1)
        if last == tomorrow:  # "since May" lasts up to the day of the message: its start counts
            return first == self.base or self._has_start(first)
        return any(
            (first <= d.first and d.last <= last)
            or (d.loose and d.first <= first and last <= d.last)
            for d in self._days
        ) or self._has_parts(first, last)

    def _has_start(self, first: date) -> bool:
        """Whether something is said to begin, or to have been, on a day or in its month or year."""
        whole_year = (first.month, first.day) == (1, 1) and self.has_number(str(first.year))
        return whole_year or self._has_month(first) or any(first == d.first for d in self._days)

    def _has_parts(self, first: date, last: date) -> bool:
        """Whether names of weekday, month or season, and numbers, make up the days."""
        length = (last - first).days
        near = abs((first - self.base).days) <= _NEAR_DAYS
        if length == 1 and near and self.has_word(WEEKDAYS[first.weekday()]):
            return True
        year = abs(first.year - self.base.year) <= 1 or self.has_number(str(first.year))
        if length == 1:
            return year and self._has_month(first) and self.has_number(str(first.day))
        if length <= _MONTH_DAYS:
            return year and self._has_month(first)
        if length <= _SEASON_DAYS:
            return year and any(m == first.month and self.has_word(s) for s, m in SEASONS.items())
        return length <= _YEAR_DAYS and self.has_number(str(first.year))

    def _has_month(self, day: date) -> bool:
        name = MONTHS[day.month - 1].casefold()
        return name in self._words or name[:3] in self._words
