"""Runs of equal values of single-valued attributes, in event time.

Deduplication and supersession must agree on these runs: a value that comes back after
another one ("Rome", "Oslo", "Rome") is a new statement, not a repetition of the first.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from operators.attributes import is_functional

Period = tuple[str, str, int]  # subject, attribute, number of the run from 0


def normalise_value(value: str) -> str:
    """A value without case, outer punctuation and repeated spaces."""
    return " ".join(value.casefold().split()).strip(" .,;:!?\"'")


def value_periods(
    rows: Iterable[int], subjects: Sequence[Any], attributes: Sequence[Any], given: Sequence[Any]
) -> dict[int, Period]:
    """The run each row belongs to, for rows in event order.

    Rows without subject, attribute or value, or with an attribute that can have several
    values at a time, belong to none.
    """
    last: dict[tuple[str, str], tuple[str, int]] = {}
    out: dict[int, Period] = {}
    for row in rows:
        subject, attribute, value = subjects[row], attributes[row], given[row]
        if subject is None or value is None or attribute is None or not is_functional(attribute):
            continue
        key = (" ".join(subject.casefold().split()), attribute)
        normal = normalise_value(value)
        before = last.get(key)
        if before is None:
            last[key] = (normal, 0)
        elif before[0] != normal:
            last[key] = (normal, before[1] + 1)
        out[row] = (*key, last[key][1])
    return out
