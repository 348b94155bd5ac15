"""`accumulates`: one more instance of the same activity, or one more value of a set.

PREMem's accumulation, Keep Me Updated's APPEND: both statements stay true side by side.
"""

from operators.attributes import SET_VALUED_ATTRIBUTES
from operators.relations.statement import Statement, jaccard
from operators.relations.verdict import Pair, Verdict

_COSINE = 0.5
_SHARED, _MOST = 0.5, 0.7  # with the same verb, with another one
_AGAIN = 0.8  # more alike than that and without dates, it is the same deed told again
_DAY = 86_400_000_000


def another_value(pair: Pair) -> Verdict | None:
    """Another value of an attribute that collects values, at another time."""
    one, other = pair.earlier.triple, pair.later.triple
    if one is None or other is None or one[:2] != other[:2] or one[2] == other[2]:
        return None
    if one[1] not in SET_VALUED_ATTRIBUTES or pair.earlier.event_time == pair.later.event_time:
        return None
    return Verdict("accumulates", 1.0, "another_value")


def another_time(pair: Pair) -> Verdict | None:
    """The same activity told again, as done at another time."""
    one, other = pair.earlier, pair.later
    if pair.cosine < _COSINE or not pair.one_voice or not _apart(one, other):
        return None
    if len(one.stated & other.stated) < 2:
        return None
    dated = one.occurred is not None and other.occurred is not None
    for left in one.deeds:
        for right in other.deeds:
            stems = left.stems, right.stems
            common = left.stems & right.stems
            same = not left.done.isdisjoint(right.done)
            telling = len((common & other.telling & one.telling) - other.names)
            if (
                telling >= (1 if same else 2)
                and len(common) >= 2
                and len(common) >= (_SHARED if same else _MOST) * min(map(len, stems))
                and not (left.numbers and left.numbers == right.numbers)
                and (dated or jaccard(left.stems, right.stems) < _AGAIN)
            ):
                return Verdict("accumulates", pair.cosine, "another_time")
    return None


def _apart(one: Statement, other: Statement) -> bool:
    """Whether they tell of different times: by what is known of them, else by session."""
    if one.occurred and other.occurred:
        return one.occurred[1] <= other.occurred[0] or other.occurred[1] <= one.occurred[0]
    if one.session_id == other.session_id:
        return False
    if one.occurred is None and other.occurred is None:
        return other.event_time - one.event_time >= _DAY
    if other.occurred is not None:  # happened since the earlier was said
        return other.occurred[0] > one.event_time
    return False
