"""Does a statement say more than its source? Names, numbers and dates that have no support.

The failure that HaluMem measures: extraction that adds what was never said. A statement
claims its capitalised words, its numbers and the days of its date expressions; each must be
held by some evidence. The check is about names, numbers and dates only, and tolerant of
their spelling: it does not judge whether the sentence as a whole follows.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from operators.extract.calendar_rules import MONTHS, WEEKDAYS
from operators.extract.dates import Dated, find_dates
from operators.extract.entities import STOP, find_entities
from operators.extract.evidence import Evidence, words_of
from operators.extract.numerals import find_numbers

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_OPENERS = frozenset(".!?:;\n•|—–…")
_DECORATION = " _*\"'“”‘#>-(["
_CALENDAR = frozenset([*WEEKDAYS, *(month.lower() for month in MONTHS)])


@dataclass(frozen=True)
class Claim:
    """A name's word, a number or a date of a statement.

    Attributes:
        surface: as the statement writes it.
        word: the word, without case; "" for a number or date.
        number: the number; "" for a word or date.
        days: the days; None for a word or number.
    """

    surface: str
    word: str = ""
    number: str = ""
    days: Dated | None = None

    def held_by(self, evidence: Evidence) -> bool:
        """Whether the evidence supports it."""
        if self.days is not None:
            return evidence.has_days(self.days.first, self.days.last, self.surface)
        return evidence.has_number(self.number) if self.number else evidence.has_word(self.word)


def claims(text: str, base: date, known: frozenset[str] = frozenset()) -> list[Claim]:
    """What `text`, told of a message of day `base`, claims; `known` are names of people."""
    dates = find_dates(text, base)
    out = [Claim(text[d.start : d.end], days=d) for d in dates]
    rest = _without(text, dates)
    out += [Claim(rest[n.start : n.end], number=n.value) for n in find_numbers(rest)]
    seen: set[str] = set()
    for surface in _names(rest, known):
        word = next(words_of(surface), "")
        if word and word not in seen:
            seen.add(word)
            out.append(Claim(surface, word=word))
    return out


def unsupported(
    found: Sequence[Claim], cited: Sequence[Evidence], near: Sequence[Evidence]
) -> tuple[list[str], list[int]]:
    """Claims that nothing supports, as written; and which of `near` are needed beside `cited`.

    Args:
        found: claims of a statement.
        cited: what the statement says it rests on.
        near: what else was shown when it was made.
    """
    missing: list[str] = []
    needed: set[int] = set()
    for claim in found:
        if any(claim.held_by(one) for one in cited):
            continue
        by = next((k for k, one in enumerate(near) if claim.held_by(one)), None)
        if by is None:
            missing.append(claim.surface)
        else:
            needed.add(by)
    return list(dict.fromkeys(missing)), sorted(needed)


def _without(text: str, dates: Sequence[Dated]) -> str:
    """`text` with its date expressions blanked, places kept."""
    for d in dates:
        text = text[: d.start] + " " * (d.end - d.start) + text[d.end :]
    return text


def _names(text: str, known: frozenset[str]) -> Iterator[str]:
    """Capitalised words of names, and all capitalised words inside sentences."""
    for name in find_entities(text, known):
        yield from (word for word in _WORD.findall(name) if _is_named(word))
    for match in _WORD.finditer(text):
        if not _is_named(match.group()) or _stops(match.group()):
            continue
        before = text[: match.start()].rstrip(_DECORATION)
        if before and before[-1] not in _OPENERS:
            yield match.group()


def _is_named(word: str) -> bool:
    return any(c.isupper() for c in word)


def _stops(word: str) -> bool:
    """Words that sentences and titles capitalise; days and months do name something."""
    low = word.lower().replace("’", "'").removesuffix("'s")
    return low in STOP and low not in _CALENDAR
