"""`causes`: one statement names the other as its cause or effect.

The link runs from the later to the earlier as every link does; its method says which end is
the cause: `because:target_is_cause` for "we cancelled because it rained" after "it rained".
"""

from operators.relations.statement import Clause, Statement, covered
from operators.relations.verdict import Pair, Verdict

_COSINE = 0.45
_COVERED = 0.6
_ODD = frozenset({"weird", "strang", "odd", "surpris", "funny"})
_REASONS = (("due", "to"), ("thanks", "to"), ("because", "of"))
_RESULTS = (("led", "to"), ("inspired",), ("resulted", "in"), ("caused",))
_OPENINGS = (
    ("that's", "why"),
    ("this", "is", "why"),
    ("that", "is", "why"),
    ("as", "a", "result"),
)


def opening(pair: Pair) -> Verdict | None:
    """The later follows the earlier and begins with "That's why", "As a result", "Because"."""
    if not pair.neighbours:
        return None
    clause = next((clause for clause in pair.later.clauses if len(clause.words) > 1), None)
    if clause is None or clause.asks:
        return None
    if clause is pair.later.clauses[0] or len(pair.later.clauses[0].words) == 1:
        if clause.opener == "because" and clause is pair.later.clauses[-1]:
            return Verdict("causes", pair.cosine, "because:target_is_effect")
        if any(clause.words[: len(words)] == words for words in _OPENINGS):
            return Verdict("causes", pair.cosine, "thats_why:target_is_cause")
    return None


def reason(pair: Pair) -> Verdict | None:
    """The later says "because X", "due to X", "thanks to X"; the earlier tells of X."""
    if not pair.later.connects or pair.cosine < _COSINE or not _stated(pair.earlier):
        return None
    clauses = pair.later.clauses
    for at, clause in enumerate(clauses):
        if clause.asks:
            continue
        if clause.opener == "because" and clause.words[0] != "of":
            named, main = clause.stems, clauses[at - 1].stems if at else frozenset[str]()
        else:
            before, after = _parted(clause, _REASONS)
            if clause.opener == "because":  # "because of X"
                before, after = clauses[at - 1].stems if at else frozenset[str](), clause.stems
            named, main = after, before
        # "Odd, because ..." speaks of a clash, not of a cause.
        if (
            _ODD.isdisjoint(main)
            and _names(named, pair.earlier)
            and covered(main, pair.earlier.stems) < _COVERED
        ):
            return Verdict("causes", pair.cosine, "because:target_is_cause")
    return None


def result(pair: Pair) -> Verdict | None:
    """The later says "X led to Y" or "X inspired Y"; the earlier tells of one of them."""
    if not pair.later.connects or pair.cosine < _COSINE or not _stated(pair.earlier):
        return None
    for clause in pair.later.clauses:
        before, after = _parted(clause, _RESULTS)
        if not clause.states or clause.denied or "what" in clause.words or not (before and after):
            continue
        cause, effect = (_names(part, pair.earlier) for part in (before, after))
        if cause != effect:
            end = "cause" if cause else "effect"
            return Verdict("causes", pair.cosine, f"led_to:target_is_{end}")
    return None


def _stated(statement: Statement) -> bool:
    return any(clause.states for clause in statement.clauses)


def _names(part: frozenset[str], statement: Statement) -> bool:
    """Whether what a part of a sentence speaks of is what the statement tells."""
    common = part & statement.stems
    return (
        len(common) >= 2
        and not common.isdisjoint(statement.telling)
        and covered(part, common) >= _COVERED
    )


def _parted(
    clause: Clause, marks: tuple[tuple[str, ...], ...]
) -> tuple[frozenset[str], frozenset[str]]:
    """Topic words before and after the first of the marks; none without one."""
    for mark in marks:
        if mark[0] in clause.words:
            at = clause.words.index(mark[0])
            if clause.words[at : at + len(mark)] == mark:
                return clause.topic(0, at), clause.topic(at + len(mark))
    return frozenset(), frozenset()
