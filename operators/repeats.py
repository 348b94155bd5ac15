"""Facts that repeat an earlier one word for word."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from operators.periods import Period
from operators.statements import exact_form


def voice(row: int, column: Mapping[str, list[Any]], periods: Mapping[int, Period]) -> Hashable:
    """Who says what kind of thing: statements of different voices are never the same."""
    return column["speaker"][row], column["attribute"][row], periods.get(row)


def exact_repeats(
    rows: Sequence[int], column: Mapping[str, list[Any]], periods: Mapping[int, Period]
) -> dict[int, int]:
    """For each row, in event order, the first row with its words, voice and time of occurrence.

    The row itself where it says something new. It rests on earlier rows alone.
    """
    first: dict[Hashable, int] = {}
    out: dict[int, int] = {}
    for row in rows:
        times = (column["occurred_start"][row], column["occurred_end"][row])
        key = (voice(row, column, periods), times, exact_form(column["text"][row]))
        out[row] = first.setdefault(key, row)
    return out
