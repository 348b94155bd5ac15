"""`transforms`: the later tells that what the earlier says has changed.

The counterpart of `supersedes` for statements without a single-valued attribute: Keep Me
Updated's REPLACE, PREMem's transformation.
"""

from operators.relations.contradiction import done_and_never
from operators.relations.statement import Clause, bare_number, covered, jaccard, own
from operators.relations.verdict import Pair, Verdict
from operators.relations.vocabulary import PRONOUNS, is_negation, stem, words

_COSINE = 0.5
_CLOSE, _HALF, _MOST = 0.65, 0.5, 0.75
_FRAME = 0.7
_TO = frozenset({"to", "will", "never", "not", "won't", "don't", "can", "help", "should", "and"})
_MONTHS = words(
    "january february march april may june july august september october november december"
)
_WISHES = words("if would could might may maybe thinking considering want wants")
_STATES = words("is are has have i'm we're i've we've own owns pay pays earn earns weigh weighs")
_BEFORE_NUMBER = frozenset({"the", "on", "at", "for", "in", "by"})
_GOT = frozenset({"am", "are", "be", "been", "get", "getting", "got", "gets", "is", "was", "it's"})
_MARKS = frozenset(
    map(stem, ("stop", "stopped", "quit", "switch", "anymore", "longer", "change", "replace"))
)


def no_longer(pair: Pair) -> Verdict | None:
    """ "No longer", "not ... any more", "stopped", "quit", "gave up", "used to".

    Of the speaker; the earlier affirms what has ended, and has not told of the end itself.
    """
    if not pair.later.ends or not pair.one_voice or pair.cosine < _CLOSE or pair.earlier.denies:
        return None
    speaker = pair.later.voice
    for clause in pair.later.clauses:
        method = _ended(clause)
        if method and own(clause, speaker):
            thing = clause.stems - _MARKS
            least = _MOST if method == "used_to" else _HALF  # "used to" often only looks back
            common = thing & pair.earlier.stems
            if not common.isdisjoint(pair.earlier.telling) and covered(thing, common) >= least:
                affirmed = any(c.states and own(c, speaker) for c in pair.earlier.clauses)
                if affirmed and not any(map(_ended, pair.earlier.clauses)):
                    return Verdict("transforms", pair.cosine, method)
    return None


def switched(pair: Pair) -> Verdict | None:
    """ "Switched from A to B", "B instead of A", where the earlier tells of A."""
    if not pair.later.ends or not pair.one_voice or pair.cosine < _COSINE:
        return None
    speaker = pair.later.voice
    for clause in pair.later.clauses:
        former = _left(clause)
        if former and own(clause, speaker) and not clause.asks and _WISHES.isdisjoint(clause.words):
            for other in pair.earlier.clauses:
                if "instead" not in other.words and former & other.stems & pair.earlier.telling:
                    return Verdict("transforms", pair.cosine, "switched")
    return None


def other_number(pair: Pair) -> Verdict | None:
    """The same statement of how things are, with another number of the same things."""
    if not pair.one_voice or pair.cosine < _COSINE:
        return None
    if not pair.earlier.numbers or not pair.later.numbers:
        return None
    for left in pair.earlier.clauses:
        for right in pair.later.clauses:
            if (
                len(left.numbers) == len(right.numbers) == 1
                and left.numbers != right.numbers
                and left.denied == right.denied
                and _is_state(left)
                and _is_state(right)
                and _same_head(left, right)
                and len(left.stems & right.stems) >= 2
                and jaccard(left.stems, right.stems) >= _FRAME
                and _counts_alike(left, right)
            ):
                return Verdict("transforms", pair.cosine, "other_number")
    return None


def changed_mind(pair: Pair) -> Verdict | None:
    """ "Have changed my mind about X", where the earlier tells of X."""
    if not pair.later.ends or not pair.one_voice or pair.cosine < _COSINE:
        return None
    for clause in pair.later.clauses:
        if {"changed", "mind", "about"} <= set(clause.words) and own(clause, pair.later.voice):
            topic = clause.topic(clause.words.index("about") + 1)
            if topic & pair.earlier.stems & pair.earlier.telling and clause.states:
                return Verdict("transforms", pair.cosine, "changed_mind")
    return None


def corrected(pair: Pair) -> Verdict | None:
    """The later denies a number of the earlier and gives another: "not the 14th, the 21st"."""
    if not pair.one_voice or pair.cosine < _COSINE:
        return None
    former = pair.earlier.numbers & pair.later.numbers
    if former and pair.later.numbers - pair.earlier.numbers:
        for clause in pair.later.clauses:
            if clause.denied and not clause.asks and _denied_numbers(clause) & former:
                return Verdict("transforms", pair.cosine, "corrected")
    return None


def first_time(pair: Pair) -> Verdict | None:
    """The earlier says "have never done X"; the later, that X was done."""
    found = done_and_never(pair, pair.later, pair.earlier, "first_time")
    return found and Verdict("transforms", found.score, found.method)


def _ended(clause: Clause) -> str | None:
    """By what words the clause tells that something has ended."""
    if not clause.states:
        return None
    for at, word in enumerate(clause.words):
        before = clause.words[at - 1] if at else ""
        if (before, word) == ("no", "longer"):
            return "no_longer"
        if clause.denied and (word == "anymore" or (before, word) == ("any", "more")):
            return "no_longer"
        if word in {"stopped", "quit", "up"} and not clause.denied and at:
            gave_up = word == "up" and before in {"gave", "given"}
            if gave_up or (word != "up" and before not in _TO | _GOT):
                return "stopped"
        if word == "to" and before == "used" and at > 1 and clause.words[at - 2] not in _GOT:
            return "used_to"
    return None


def _left(clause: Clause) -> frozenset[str]:
    """Topic words of what was left for something else."""
    said = clause.words
    for at, word in enumerate(said):
        if word in {"switched", "moved", "changed"} and "from" in said[at:] and not clause.denied:
            since = said.index("from", at) + 1
            until = said.index("to", since) if "to" in said[since:] else len(said)
            return clause.topic(since, until)
        if word == "instead" and said[at + 1 : at + 2] == ("of",):
            return clause.topic(at + 2, at + 6)
    return frozenset()


def _denied_numbers(clause: Clause) -> set[str]:
    """Numbers right after a denial, but for a preposition and an article."""
    out: set[str] = set()
    for at, word in enumerate(clause.words):
        if clause.is_number(word):
            before = [w for w in clause.words[max(0, at - 3) : at] if w not in _BEFORE_NUMBER]
            if before and is_negation(before[-1]):
                out.add(bare_number(word))
    return out


def _is_state(clause: Clause) -> bool:
    """Whether it tells how things are: neither a deed, nor a wish or a request."""
    return clause.states and not clause.done and not _STATES.isdisjoint(clause.words)


def _counts_alike(left: Clause, right: Clause) -> bool:
    """Whether the numbers count the same thing: the next word is equal, and no month."""
    after = {_after_number(clause) for clause in (left, right)}
    return len(after) == 1 and not after & _MONTHS


def _after_number(clause: Clause) -> str:
    at = next((at for at, word in enumerate(clause.words) if clause.is_number(word)), 0)
    return clause.words[at + 1] if at + 1 < len(clause.words) else ""


def _same_head(one: Clause, other: Clause) -> bool:
    return one.head == other.head and one.head not in PRONOUNS
