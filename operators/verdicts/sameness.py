"""Which facts a model's verdicts call the same, and which they tell apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from operators.periods import Period, normalise_value
from operators.verdicts.recorded import Verdicts

_Column = Mapping[str, list[Any]]

_LEAST_COSINE = 0.6  # two wordings of one fact are never as far apart as that


class Earlier(NamedTuple):
    """An earlier row that says the same, and the cosine of the two."""

    row: int
    score: float


@dataclass
class Sameness:
    """What the verdicts say of the rows of one conversation.

    Attributes:
        same: by row, the earlier rows that it repeats, in event order.
        apart: pairs (later, earlier) of rows that are no repetition, whatever their cosine.
        refused: verdicts `same` that cannot be true.
    """

    same: dict[int, list[Earlier]] = field(default_factory=dict[int, list[Earlier]])
    apart: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])
    refused: int = 0

    @classmethod
    def of(
        cls,
        rows: Sequence[int],
        column: _Column,
        periods: Mapping[int, Period],
        verdicts: Verdicts,
    ) -> "Sameness":
        """Read the verdicts on rows of one conversation, given in event order.

        `same` is refused where the cosine is below 0.6, the times of occurrence are known and
        apart, the later has a time or an attribute that the earlier lacks, or another value of
        a single-valued attribute was told between the two.
        """
        out = cls()
        place = {column["fact_id"][row]: at for at, row in enumerate(rows)}
        known = (ends for ends in verdicts if ends[0] in place and ends[1] in place)
        for later_at, earlier_at, ends in sorted((place[e[0]], place[e[1]], e) for e in known):
            later, earlier, said = rows[later_at], rows[earlier_at], verdicts[ends]
            if earlier_at >= later_at:
                continue
            if said.verdict != "same":
                out.apart.add((later, earlier))
            elif said.score >= _LEAST_COSINE and _may_be_same(later, earlier, column, periods):
                out.same.setdefault(later, []).append(Earlier(earlier, said.score))
            else:
                out.refused += 1
        return out


def times_apart(one: int, other: int, column: _Column) -> bool:
    """Whether the times of occurrence of two rows are known and do not overlap."""
    start, end = column["occurred_start"], column["occurred_end"]
    if start[one] is None or start[other] is None or start[one] == start[other]:
        return False
    early, late = sorted((one, other), key=lambda row: start[row])
    return end[early] is None or start[late] >= end[early]


def _may_be_same(later: int, earlier: int, column: _Column, periods: Mapping[int, Period]) -> bool:
    start = column["occurred_start"]
    if start[earlier] is None and start[later] is not None:
        return False
    if times_apart(later, earlier, column):
        return False
    if column["attribute"][later] is None:
        return True
    if column["attribute"][earlier] != column["attribute"][later]:
        return False
    subjects = [column["subject"][row] for row in (later, earlier)]
    if None in subjects or len({normalise_value(subject) for subject in subjects}) > 1:
        return False
    period, before = periods.get(later), periods.get(earlier)
    # "New York" after "NYC" may be the same; "Rome" after "Oslo" after "Rome" is news.
    return period is None or before is None or period[2] - before[2] <= 1
