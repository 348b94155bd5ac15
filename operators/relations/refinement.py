"""`refines`: the later says what the earlier said, with more detail.

PREMem's specification: most topic words of the earlier come back, with new numbers, names
or a time, or clearly more words.
"""

from operators.relations.statement import Statement, covered
from operators.relations.verdict import Pair, Verdict

_COSINE = 0.7
_COVERED = 0.75
_LEAST, _MORE = 3, 4


def more_specific(pair: Pair) -> Verdict | None:
    """What the earlier states lies in what the later states, and that says more."""
    one, other = pair.earlier, pair.later
    if pair.cosine < _COSINE or not pair.one_voice or not _says_it_too(one, other):
        return None
    named = not (other.numbers <= one.numbers and other.names <= one.names)
    dated = other.occurred is not None and one.occurred is None
    if named or dated:
        return Verdict("refines", pair.cosine, "more_specific")
    more = len(other.stated - one.stated) >= _MORE
    return Verdict("refines", pair.cosine, "more_words") if more else None


def _says_it_too(one: Statement, other: Statement) -> bool:
    """Whether the other statement holds what the one says, and nothing else in its place."""
    common = one.stated & other.stated
    return (
        len(one.stated) >= _LEAST
        and covered(one.stated, common) >= _COVERED
        and not common.isdisjoint(other.telling)
        and one.denies == other.denies
        and one.numbers <= other.numbers
        and one.names <= other.names
        and (one.occurred is None or other.occurred in {None, one.occurred})
    )
