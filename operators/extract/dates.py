"""Date expressions in English text, resolved against the day a message was sent.

Own detector and rules, because a general parser costs milliseconds a sentence; dateparser
is asked only about numeric dates (`3/14/2023`), with an explicit base and a cache. An
expression without a year ("in March", "on Friday") is placed by the tense of its sentence.
Nothing is read from the clock: the message's own time is the base.
"""
# ruff: noqa: E501 - a pattern reads best on one line

import re
from dataclasses import dataclass
from datetime import date

from operators.extract.date_patterns import (
    ANY,
    ANY_ABSOLUTE,
    HANDLERS,
    HINT,
    HINT_ABSOLUTE,
    PATTERNS,
)


@dataclass(frozen=True)
class Dated:
    """An expression text[start:end] and the days [first, last) it names.

    `label` is the absolute date to write after it; None where the words are absolute or vague.
    """

    start: int
    end: int
    first: date
    last: date
    label: str | None


_PAST = re.compile(
    r"\b(?:was|were|had|did|didn['’]t|went|got|came|took|made|saw|met|said|told|gave|found|bought|felt|"
    r"left|began|ran|won|lost|ate|wrote|spent|built|brought|taught|heard|held|kept|joined|\w{2,}ed|been|"
    r"ago|since|last)\b",
    re.IGNORECASE,
)
_FUTURE = re.compile(
    r"\b(?:will|gonna|going to|shall|plan(?:s|ning)?|upcoming|coming up|next|soon|tomorrow|due|deadline|"
    r"can['’]t wait|cannot wait|looking forward|excited for|hope to|hoping|want to|would|[a-z]+['’]ll|won['’]t|"
    r"expect|schedul\w*|booked|leaving|launch(?:es|ing)?|by)\b",
    re.IGNORECASE,
)


def find_dates(text: str, base: date, *, only_absolute: bool = False) -> list[Dated]:
    """Date expressions of `text` in order, as days. `base` is the UTC day of the message."""
    hint, pattern = (HINT_ABSOLUTE, ANY_ABSOLUTE) if only_absolute else (HINT, ANY)
    if hint.search(text) is None:
        return []
    found: list[Dated] = []
    for match in pattern.finditer(text):
        name = match.lastgroup
        inner = PATTERNS[name].match(text, match.start()) if name else None
        if name is None or inner is None:
            continue
        try:
            span = HANDLERS[name](inner, base, tense_at(text, match.start()))
        except (ValueError, OverflowError):  # 31 June, or beyond year 9999
            continue
        if span is not None:
            found.append(Dated(match.start(), match.end(), span.start, span.end, span.label))
    return found


_CLAUSE = re.compile(
    r"[;:—\n]|[.!?]\s|, (?:but|so|and)\b|\b(?:but|while|although)\b", re.IGNORECASE
)


def tense_at(text: str, position: int) -> int:
    """-1 past, 1 future, 0 unclear, in the clause around `position`."""
    start = 0
    end = len(text)
    for match in _CLAUSE.finditer(text):
        if match.end() <= position:
            start = match.end()
        elif match.start() > position:
            end = match.start()
            break
    clause = text[start:end]
    if _FUTURE.search(clause) and not _PAST_PERFECT.search(clause):
        return 1
    return -1 if _PAST.search(clause) else 0


_PAST_PERFECT = re.compile(r"\b(?:was|were|went|did|had) (?:going|planning)?", re.IGNORECASE)


def annotate(text: str, dates: list[Dated]) -> str:
    """`text` with the absolute date in parentheses after each expression that needs one."""
    parts: list[str] = []
    done: set[str] = set()
    at = 0
    for item in dates:
        if item.label is None or item.label in done:
            continue
        end = item.end
        if text[end : end + 2] in {"'s", "’s"}:
            end += 2
        if text[end : end + 2] == " (":  # the writer explained it
            continue
        done.add(item.label)
        parts += [text[at:end], f" ({item.label})"]
        at = end
    parts.append(text[at:])
    return "".join(parts)
