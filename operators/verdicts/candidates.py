"""Which pairs of facts a model is asked about: a few near ones for each fact.

A fact's pairs depend on facts before it alone, so that a conversation that goes on changes
none of its old pairs.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from operators.associations.nearest import Scores, centred_cosines, cosines, nearest_earlier
from operators.base import Vectors
from operators.periods import normalise_value, value_periods
from operators.relations.statement import is_machine
from operators.repeats import exact_repeats
from operators.vectors import exact_dots
from operators.verdicts.questions import without_pictures

_Column = Mapping[str, list[Any]]
_Pair = tuple[int, int]  # places of the later and of the earlier fact

_LEAST_WORDS = 4

COLUMNS = (
    *("fact_id", "session_id", "message_id", "speaker", "role", "text", "event_time"),
    *("occurred_start", "occurred_end", "span_end", "subject", "attribute", "value"),
)
"""Columns of `facts` that decide about pairs and their questions."""


class Candidate(NamedTuple):
    """A pair to ask about: rows, cosine of the texts (four digits), why it was chosen."""

    later: int
    earlier: int
    score: float
    reason: Literal["near", "attribute"]


def told(rows: Sequence[int], column: _Column, document_chars: int) -> list[int]:
    """Of a conversation's rows in event order: what people tell, each statement once.

    Not what an assistant said, nor pasted documents, questions, exclamations, or words said
    again.
    """
    length: dict[str, int] = {}
    for row in rows:
        message, end = column["message_id"][row], column["span_end"][row]
        length[message] = max(end, length.get(message, 0))
    about = (column["subject"], column["attribute"], column["value"])
    repeats = exact_repeats(rows, column, value_periods(rows, *about))
    return [
        row
        for row in rows
        if repeats[row] == row
        and length[column["message_id"][row]] <= document_chars
        and not is_machine(column["role"][row], column["speaker"][row])
        and (column["attribute"][row] is not None or _states(row, column))
    ]


def _states(row: int, column: _Column) -> bool:
    """Whether the words can be told again, refined or denied."""
    words = without_pictures(column["text"][row]).removeprefix(f"{column['speaker'][row]}:")
    return len(words.split()) >= _LEAST_WORDS and not words.endswith("?")


def candidates(
    rows: Sequence[int], column: _Column, vectors: Vectors, limits: tuple[int, float, float]
) -> list[Candidate]:
    """The pairs of `told` rows, in event order of the later fact, then of the earlier.

    Args:
        rows: of one conversation, in event order.
        column: columns of the facts.
        vectors: of the texts, one for each of `rows`.
        limits: how many near facts; least cosine about the mean; least plain cosine of a
            possible repetition.
    """
    most, floor, repetition = limits
    chosen: dict[_Pair, Literal["near", "attribute"]] = {}
    for scores, least in ((centred_cosines(vectors), floor), (cosines(vectors), repetition)):
        near = _near(_of_one_speaker(scores, rows, column), len(rows), most, least)
        chosen |= dict.fromkeys(near, "near")
    chosen |= dict.fromkeys(_by_attribute(rows, column), "attribute")
    return [
        Candidate(
            later=rows[later],
            earlier=rows[earlier],
            score=round(float(exact_dots(vectors[later], vectors[[earlier]])[0]), 4),
            reason=chosen[later, earlier],
        )
        for later, earlier in sorted(chosen)
    ]


def _near(scores: Scores, rows: int, most: int, floor: float) -> Iterator[_Pair]:
    nearest = nearest_earlier(scores, rows, most)
    kept = nearest.scores >= round(floor, 4)
    for later, place in np.argwhere(kept).tolist():
        if place < nearest.counts[later]:
            yield later, int(nearest.targets[later, place])


def _of_one_speaker(scores: Scores, rows: Sequence[int], column: _Column) -> Scores:
    """The scores, and -1 for facts of two speakers or of one message."""
    speaker, message = (_codes(column[name], rows) for name in ("speaker", "message_id"))

    def masked(start: int, stop: int) -> Vectors:
        here = slice(start, stop)
        apart = speaker[here, None] != speaker[None, :stop]
        apart |= message[here, None] == message[None, :stop]
        return np.where(apart, np.float32(-1), scores(start, stop))

    return masked


def _codes(names: Sequence[Any], rows: Sequence[int]) -> npt.NDArray[np.int64]:
    known: dict[Any, int] = {}
    return np.array([known.setdefault(names[row], len(known)) for row in rows], np.int64)


def _by_attribute(rows: Sequence[int], column: _Column) -> Iterator[_Pair]:
    """Each value with the latest other value of its subject and attribute."""
    values: dict[tuple[str, str], dict[str, int]] = {}
    for place, row in enumerate(rows):
        subject, attribute = column["subject"][row], column["attribute"][row]
        if subject is None or attribute is None or column["value"][row] is None:
            continue
        value = normalise_value(column["value"][row])
        known = values.setdefault((normalise_value(subject), attribute), {})
        earlier = next((at for other, at in reversed(known.items()) if other != value), None)
        if earlier is not None and _two_messages(rows[earlier], row, column):
            yield place, earlier
        known.pop(value, None)
        known[value] = place


def _two_messages(one: int, other: int, column: _Column) -> bool:
    return column["message_id"][one] != column["message_id"][other]
