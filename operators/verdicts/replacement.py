"""Which facts a model's verdicts put out of date."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from operators.attributes import SET_VALUED_ATTRIBUTES, is_functional
from operators.periods import normalise_value
from operators.verdicts.recorded import Verdicts

_Column = Mapping[str, list[Any]]

COLUMNS = (
    *("fact_id", "status", "canonical_id", "speaker", "kind", "event_time", "occurred_end"),
    *("subject", "attribute", "value"),
)
"""Columns of `facts` that decide whether one may replace another."""


class Replacement(NamedTuple):
    """Rows: the former no longer holds from the later on; the cosine of the two."""

    former: int
    later: int
    score: float


def replacements(
    rows: Sequence[int], column: _Column, verdicts: Verdicts
) -> tuple[list[Replacement], int]:
    """The replacements of a conversation, and how many verdicts `replaces` were refused.

    A wrong one takes a true fact out of use, so a verdict is refused where the two speak of
    different subjects (of different speakers where a subject is unknown) or attributes, of
    another value of an attribute that can have several, of the same value of one that has
    one, and where the earlier tells of an event that is over. What a duplicate replaces, or
    is replaced in, is its canonical fact.

    Args:
        rows: all rows, in event order, duplicates included.
        column: columns of the facts.
        verdicts: of the conversation.
    """
    row_of = {column["fact_id"][row]: row for row in rows}
    place = {row: at for at, row in enumerate(rows)}
    found: set[tuple[int, int, float]] = set()
    refused = 0
    for ends, said in verdicts.items():
        if said.verdict != "replaces" or not all(end in row_of for end in ends):
            continue
        later, earlier = (row_of[end] for end in ends)
        after, before = (place.get(_standing(row, row_of, column), -1) for row in (later, earlier))
        if 0 <= before < after and _may_replace(later, earlier, column):
            found.add((before, after, said.score))
        else:
            refused += 1
    replaced = [
        Replacement(rows[before], rows[after], score) for before, after, score in sorted(found)
    ]
    return replaced, refused


def _standing(row: int, row_of: Mapping[str, int], column: _Column) -> int:
    """The row that stands for a row; -1 for a duplicate of nothing in the conversation."""
    if column["status"][row] != "duplicate":
        return row
    return row_of.get(column["canonical_id"][row] or "", -1)


def _may_replace(later: int, earlier: int, column: _Column) -> bool:
    subjects = [column["subject"][row] for row in (later, earlier)]
    about = column["speaker"] if None in subjects else column["subject"]
    if normalise_value(about[later]) != normalise_value(about[earlier]):
        return False
    one, other = column["attribute"][later], column["attribute"][earlier]
    if one is None or other is None:
        return other is not None or not _is_over(earlier, column)
    return one == other and _value_may_go(later, earlier, column)


def _value_may_go(later: int, earlier: int, column: _Column) -> bool:
    attribute = column["attribute"][earlier]
    values = [normalise_value(column["value"][row] or "") for row in (later, earlier)]
    if attribute in SET_VALUED_ATTRIBUTES:
        return values[0] == values[1]
    return not is_functional(attribute) or values[0] != values[1]


def _is_over(row: int, column: _Column) -> bool:
    """Whether it tells of an event that was over when it was told: that stays true."""
    end = column["occurred_end"][row]
    past = end is not None and end <= column["event_time"][row]
    return past and column["kind"][row] == "experiential"
