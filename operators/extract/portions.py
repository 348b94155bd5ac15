"""Cells as questions: numbered lines under a header that all cells of a session share.

What a question says depends on its cell, on the message before it and on who speaks in the
session. A message of a later session changes nothing in it, so its recorded answer stays.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from operators.extract.calendar_rules import WEEKDAYS, write_day
from operators.extract.llm_output import MAX_LINES
from operators.extract.rows import Row
from operators.extract.sentences import split_units
from operators.extract.speakers import called
from operators.extract.statement import last_question

_MAX_PEOPLE = 12
_LEAST_TAIL = 40  # characters: below that the last sentence alone tells too little
_SPACES = re.compile(r"[\s\x00-\x1f\x7f]+")
_OPENING_CHARS = 80
_LONG_ANSWER = 160  # characters: an answer of this length says what it is about
# Openings that need the message before: persons not named yet, a plain yes or no.
_POINTS_BACK = re.compile(
    r"\b(?:he|she|they|him|her|them)\b"
    r"|^\W*(?:yes|yeah|yep|no|nope|not|of course|exactly|absolutely|definitely)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Piece:
    """Characters [start, end) of a message: all of it, unless it is very long."""

    row: Row
    start: int
    end: int

    @cached_property
    def text(self) -> str:
        """The characters, as written."""
        return self.row["text"][self.start : self.end]

    @property
    def speaker(self) -> str:
        """Who says it, as statements call them."""
        return one_line(called(self.row["speaker"]))


@dataclass(frozen=True)
class Portion:
    """What one question is about: a cell, or a part of a long one.

    Attributes:
        cell_id: the cell.
        header: what all cells of the session share.
        day: UTC day that the header names.
        pieces: what is asked about; piece k is line k + 1.
        before: what was said just before, or None.
        before_text: the words of it that are shown; "" where none are needed.
    """

    cell_id: str
    header: str
    day: str
    pieces: tuple[Piece, ...]
    before: Piece | None
    before_text: str

    @cached_property
    def text(self) -> str:
        """The user turn."""
        lines = [self.header]
        if self.before_text and self.before:
            lines.append(f"Before: {self.before.speaker}: {self.before_text}")
        for number, piece in enumerate(self.pieces, 1):
            day = _moment(piece.row).date().isoformat()
            when = "" if day == self.day else f"({day}) "
            lines.append(f"[{number}] {when}{piece.speaker}: {one_line(piece.text)}")
        return "\n".join(lines)


def one_line(text: str) -> str:
    """`text` without line breaks and control characters: what stands in it is no line of ours."""
    return _SPACES.sub(" ", text).strip()


def portions(
    session: Sequence[Row], cell_of: Sequence[str], *, max_chars: int, context_chars: int
) -> Iterator[Portion]:
    """The questions of one session, in order.

    Args:
        session: its messages, in event order.
        cell_of: the cell of each message.
        max_chars: most characters of text in a question; a longer message is cut.
        context_chars: most characters of the message before; 0 for none.
    """
    if not session:
        return
    header, day = _header(session)
    before: Piece | None = None
    for cell_id, members in _cells(session, cell_of):
        whole = [piece for row in members for piece in cut_message(row, max_chars)]
        for pieces in _packed(whole, max_chars):
            shown = _shown_before(before, pieces[0], context_chars)
            yield Portion(cell_id, header, day, tuple(pieces), before, shown)
            before = pieces[-1]


def _cells(session: Sequence[Row], cell_of: Sequence[str]) -> Iterator[tuple[str, list[Row]]]:
    members: dict[str, list[Row]] = {}
    for row, cell_id in zip(session, cell_of, strict=True):
        members.setdefault(cell_id, []).append(row)
    yield from members.items()


def _packed(pieces: Sequence[Piece], max_chars: int) -> Iterator[list[Piece]]:
    """Pieces in order, as many together as fit."""
    packed: list[Piece] = []
    chars = 0
    for piece in pieces:
        size = piece.end - piece.start
        if packed and (chars + size > max_chars or len(packed) == MAX_LINES):
            yield packed
            packed, chars = [], 0
        packed.append(piece)
        chars += size
    if packed:
        yield packed


def cut_message(row: Row, max_chars: int) -> list[Piece]:
    """The message in pieces of at most `max_chars` that begin and end with a sentence.

    A function of the message alone. A single longer sentence or code block is cut inside;
    a message without a letter or digit gives no piece.
    """
    text: str = row["text"]
    if not any(c.isalnum() for c in text):
        return []
    if len(text) <= max_chars:
        return [Piece(row, 0, len(text))]
    spans: list[tuple[int, int]] = []
    for unit in split_units(text):
        for start in range(unit.start, unit.end, max_chars):
            end = min(start + max_chars, unit.end)
            if spans and end - spans[-1][0] <= max_chars:
                spans[-1] = (spans[-1][0], end)
            else:
                spans.append((start, end))
    return [Piece(row, start, end) for start, end in spans]


def _header(session: Sequence[Row]) -> tuple[str, str]:
    """The header, and the day in it (ISO): that of the first message."""
    first = _moment(session[0])
    weekday = WEEKDAYS[first.weekday()].capitalize()
    roles: dict[str, str | None] = {}
    for row in session:
        roles.setdefault(row["speaker"], row["role"])
    told = len(set(roles.values())) > 1  # roles that all share tell nothing
    people = [
        f"{called(speaker)} ({role})"
        if told and role and called(role) != called(speaker)
        else called(speaker)
        for speaker, role in list(roles.items())[:_MAX_PEOPLE]
    ]
    # In order of appearance, cut: in a large group a new voice changes no older question.
    names = ", ".join(one_line(name) for name in people)
    at = f"{weekday} {write_day(first.date())}, {first:%H:%M}"
    return f"Session: {at}. People: {names}.", first.date().isoformat()


def _moment(row: Row) -> datetime:
    return datetime.fromtimestamp(row["timestamp"] // 1_000_000, tz=UTC)


def _shown_before(before: Piece | None, first: Piece, context_chars: int) -> str:
    """The end of what was said before, where the first line answers it or points at it."""
    if before is None or not context_chars:
        return ""
    said = one_line(before.text)
    if first.start > 0:  # the rest of a long message, torn from its beginning
        return _tail(said, context_chars)
    question = last_question(said)
    if question and before.row["speaker"] != first.row["speaker"]:
        answers = len(first.text) <= _LONG_ANSWER or _points_back(first.text)
        return _tail(question, context_chars) if answers else ""
    return _tail(said, context_chars) if _points_back(first.text) else ""


def _points_back(text: str) -> bool:
    return _POINTS_BACK.search(text[:_OPENING_CHARS]) is not None


def _tail(text: str, limit: int) -> str:
    """The end of `text`: from a sentence's start if that leaves enough, else from a word's."""
    if len(text) <= limit:
        return text
    cut = text[-limit:]
    for mark in (". ", "! ", "? "):
        _, found, rest = cut.partition(mark)
        if found and len(rest) >= min(_LEAST_TAIL, limit):
            return rest
    return cut.partition(" ")[2] or cut
