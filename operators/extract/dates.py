"""Date expressions in English text, resolved against the day a message was sent.

Own detector and rules, because a general parser costs milliseconds a sentence; dateparser
is asked only about numeric dates (`3/14/2023`), with an explicit base and a cache. An
expression without a year ("in March", "on Friday") is placed by the tense of its sentence.
Nothing is read from the clock: the message's own time is the base.
"""
# ruff: noqa: E501 - a pattern reads best on one line

import re
from dataclasses import dataclass
from datetime import date, timedelta

from operators.extract.calendar_rules import day_span
from operators.extract.date_patterns import (
    ANY,
    ANY_ABSOLUTE,
    HANDLERS,
    HINT,
    HINT_ABSOLUTE,
    MONTHLY,
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
    r"left|began|ran|won|lost|ate|wrote|spent|built|brought|taught|heard|held|kept|joined|sent|spoke|fell|slept|"
    r"drove|flew|paid|thought|swam|sang|rode|wore|chose|broke|caught|drank|forgot|grew|sold|threw|woke|stood|sat|"
    r"stolen|broken|taken|given|written|\w{2,}ed|been|thanks|thank you|ago|since|last(?! (?:day|name|one|thing|lesson|shift|class)))\b",
    re.IGNORECASE,
)
_FUTURE = re.compile(
    r"\b(?:will|gonna|going to|shall|plan(?:s|ning)?|upcoming|coming up|next|soon|tomorrow|due|deadline|"
    r"can['’]t wait|cannot wait|looking forward|excited for|hope to|hoping|want to|would|[a-z]+['’]ll|won['’]t|"
    r"expect|schedul\w*|booked|leaving|launch(?:es|ing)?|by|"
    r"(?:can|must|should|to) be|let['’]s|he['’]d|she['’]d|they['’]d|see you)\b",
    re.IGNORECASE,
)


# "has moved", "is booked", "we've agreed": they tell nothing about the day that follows.
_PARTICIPLE = re.compile(
    r"(?:\b(?:have|has|is|are|be|am|gets?|haven['’]t|hasn['’]t)|['’](?:ve|s|re|m))"
    r"(?: (?:just|already|also|now|been|still|never))* (?:\w{2,}ed|been|made|sent|set|got|found|bought|left|told)\b"
    r"|\b(?:confirmed|arranged|agreed|signed up|promised|invited)\b",
    re.IGNORECASE,
)
_PRESENT = re.compile(
    r"\b(?:is|are|am|starts?|begins?|opens?|ends?|comes|arrives?|lands?|happens|takes place|it['’]s|there['’]s|"
    r"[a-z]+['’](?:re|m|s)(?= (?:on|in|now|at|the)\b))(?:\b|(?<=['’]s))",
    re.IGNORECASE,
)


def find_dates(
    text: str, base: date, *, only_absolute: bool = False, month: date | None = None
) -> list[Dated]:
    """Date expressions of `text` in order, as days. `base` is the UTC day of the message.

    `month` is one that was spoken of: "the 14th" is a day of it where `text` names none.
    """
    hint, pattern = (HINT_ABSOLUTE, ANY_ABSOLUTE) if only_absolute else (HINT, ANY)
    if hint.search(text) is None:
        return []
    found: list[Dated] = []
    open_days: list[tuple[int, int]] = []  # index in `found` and tense of each "the 14th"
    months: list[int] = []
    for match in pattern.finditer(text):
        name = match.lastgroup
        inner = PATTERNS[name].match(text, match.start()) if name else None
        if name is None or inner is None:
            continue
        tense = tense_at(text, match.start())
        try:
            span = HANDLERS[name](inner, base, tense)
        except (ValueError, OverflowError):  # 31 June, or beyond year 9999
            continue
        if span is not None:
            if name == "dom":
                open_days.append((len(found), tense))
            elif name in MONTHLY:
                months.append(len(found))
            found.append(Dated(match.start(), match.end(), span.start, span.end, span.label))
    for index, tense in open_days:
        before = [m for m in months if m < index]
        spoken = found[before[-1] if before else months[0]].first if months else month
        if spoken is not None:
            found[index] = _in_month(found[index], spoken, base, tense)
    return found


def month_of(text: str, base: date, *, last: bool) -> date | None:
    """First or last day that `text` names together with its month."""
    if _MONTH_NAME.search(text) is None:
        return None
    named = [
        d.first
        for d in find_dates(text, base)
        if (d.last - d.first).days <= _MONTH_DAYS and _MONTH_NAME.search(text, d.start, d.end)
    ]
    return named[-1 if last else 0] if named else None


_MONTH_DAYS = 31
_MONTH_NAME = re.compile(r"\b(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\b")
_NEAR = timedelta(days=300)


def _in_month(item: Dated, month: date, base: date, tense: int) -> Dated:
    """`item`, a day of some month, moved to `month` where that day and the tense allow it."""
    try:
        day = month.replace(day=item.first.day)
    except ValueError:
        return item
    if abs(day - base) > _NEAR or (tense < 0 and day > base) or (tense > 0 and day < base):
        return item
    span = day_span(day)
    return Dated(item.start, item.end, span.start, span.end, span.label)


_CLAUSE = re.compile(
    r"[;:—\n]|[.!?]\s|, (?:but|so|and)\b|\b(?:but|while|although)\b", re.IGNORECASE
)


def tense_at(text: str, position: int) -> int:
    """-1 past, 1 future, 0 unclear: of the part between pauses around `position`, else the clause."""
    clause = _part(_CLAUSE, text, position)
    near = _part(_PAUSE, text, position)
    tense = _tense(near) or (1 if _PRESENT.search(near) else 0)
    return tense if tense or near == clause else _tense(clause)


_PAUSE = re.compile(_CLAUSE.pattern + r"|,\s|\band\b|\b(?:because|who|which)\b", re.IGNORECASE)


def _part(boundary: re.Pattern[str], text: str, position: int) -> str:
    """Piece of `text` around `position` between matches of `boundary`."""
    start = 0
    end = len(text)
    for match in boundary.finditer(text):
        if match.end() <= position:
            start = match.end()
        elif match.start() > position:
            end = match.start()
            break
    return text[start:end]


def _tense(clause: str) -> int:
    if _FUTURE.search(clause) and not _PAST_PERFECT.search(clause):
        return 1
    return -1 if _PAST.search(_PARTICIPLE.sub(" ", clause)) else 0


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
