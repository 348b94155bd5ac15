"""`contradicts`: two statements that cannot both hold, and no order says which one does.

A change that is told as one ("no longer", "switched to") is no contradiction but
`transforms`; a new value of a single-valued attribute at a later time `supersedes`.
A wrong contradiction costs more than a missing one, so every rule asks for the same head
(mostly the subject), for statements without wish or condition, and for the present.
"""

from operators.attributes import is_functional
from operators.relations.statement import Clause, Statement, bare_number, covered, jaccard
from operators.relations.verdict import Pair, Verdict
from operators.relations.vocabulary import PRONOUNS, stem

UNCHANGING = frozenset({"birthday"})
"""Attributes with one value for ever."""
_FILLING = frozenset({"the", "of", "on", "in"})
_LIKING = frozenset(map(stem, ("love", "like", "enjoy", "adore", "prefer")))
_DISLIKING = frozenset(map(stem, ("hate", "dislike", "loathe", "detest", "despise")))
_LIKES = _LIKING | _DISLIKING
_OVERLAP = 0.6
_COSINE = 0.6
_DONE_COSINE = 0.5
_DONE = 0.6
_DENIALS = frozenset({"not", "never", "no", "don't", "doesn't", "isn't", "aren't"})


def unordered_values(pair: Pair) -> Verdict | None:
    """Two values of a single-valued attribute, stated at the same time in two messages."""
    one, other = pair.earlier, pair.later
    if _differ(one, other) and one.message_id != other.message_id:
        same = (one.event_time, one.seq) == (other.event_time, other.seq)
        if same and other.triple and is_functional(other.triple[1]):
            return Verdict("contradicts", 1.0, "unordered_values")
    return None


def unchanging_value(pair: Pair) -> Verdict | None:
    """Two values of an attribute that nothing can change: a birthday."""
    one, other = pair.earlier, pair.later
    if _differ(one, other) and one.triple and other.triple and other.triple[1] in UNCHANGING:
        left, right = (_parts(triple[2]) for triple in (one.triple, other.triple))
        if not (left <= right or right <= left):  # "4 May" and "May 4th, 1990" agree
            return Verdict("contradicts", 1.0, "unchanging_value")
    return None


def polarity_flip(pair: Pair) -> Verdict | None:
    """The same present statement, once affirmed and once denied, by one person."""
    one, other = pair.earlier, pair.later
    if not (one.denies or other.denies) or one.ends or other.ends:  # told as a change
        return None
    if not pair.one_voice or pair.cosine < _COSINE:
        return None
    for left in one.clauses:
        for right in other.clauses:
            if left.denied != right.denied and _same_frame(left, right) and _plain(left, right):
                common = left.stems & right.stems
                if len(common) >= 2 and jaccard(left.stems, right.stems) >= _OVERLAP:
                    return Verdict("contradicts", pair.cosine, "polarity_flip")
    return None


def opposite_liking(pair: Pair) -> Verdict | None:
    """The same thing, once liked and once disliked, by one person."""
    one, other = pair.earlier, pair.later
    if not pair.one_voice or pair.cosine < _COSINE:
        return None
    if _LIKES.isdisjoint(one.stems) or _LIKES.isdisjoint(other.stems):
        return None
    if not (one.denies or other.denies) and _DISLIKING.isdisjoint(one.stems | other.stems):
        return None
    for left in pair.earlier.clauses:
        for right in pair.later.clauses:
            likes = (_liking(left), _liking(right))
            if sorted(likes) == [-1, 1] and _same_frame(left, right):
                things = left.stems - _LIKES, right.stems - _LIKES
                if min(map(len, things)) and jaccard(*things) >= _OVERLAP:
                    return Verdict("contradicts", pair.cosine, "opposite_liking")
    return None


def never_but_did(pair: Pair) -> Verdict | None:
    """The later says "have never done X" where the earlier says that X was done."""
    return done_and_never(pair, pair.earlier, pair.later, "never_but_did")


def done_and_never(pair: Pair, did: Statement, never: Statement, method: str) -> Verdict | None:
    """Whether one statement says "have never done X" and the other that X was done."""
    if not never.never or not pair.one_voice or pair.cosine < _DONE_COSINE:
        return None
    for clause in never.never:
        for other in did.deeds:
            if clause.head == other.head and not clause.topic(0).isdisjoint(did.telling):
                common = clause.stems & other.stems
                if len(common) >= 2 and covered(clause.stems, common) >= _DONE:
                    return Verdict("contradicts", pair.cosine, method)
    return None


def _differ(one: Statement, other: Statement) -> bool:
    return (
        one.triple is not None
        and other.triple is not None
        and one.triple[:2] == other.triple[:2]
        and one.triple[2] != other.triple[2]
    )


def _parts(value: str) -> frozenset[str]:
    words = [word.strip(".,") for word in value.replace("-", " ").split()]
    return frozenset(bare_number(word) for word in words if word) - _FILLING


def _same_frame(left: Clause, right: Clause) -> bool:
    return (
        left.head == right.head
        and left.head not in PRONOUNS
        and left.states
        and right.states
        and not (left.past or right.past)
        and left.numbers == right.numbers
    )


def _plain(left: Clause, right: Clause) -> bool:
    """Whether the one that denies does it with a plain word: not by "without", "hardly"."""
    return not _DENIALS.isdisjoint((left if left.denied else right).words)


def _liking(clause: Clause) -> int:
    """1 for liking, -1 for disliking, 0 for neither or both."""
    likes, dislikes = (not clause.stems.isdisjoint(words) for words in (_LIKING, _DISLIKING))
    if likes == dislikes:
        return 0
    return 1 if likes != clause.denied else -1
