"""Which facts are worth comparing: few of the many pairs of a conversation."""

from collections import Counter
from collections.abc import Iterable, Sequence

from operators.attributes import is_functional
from operators.relations.contradiction import UNCHANGING
from operators.relations.implication import ATTRIBUTE_IMPLICATIONS
from operators.relations.statement import Statement

Ranks = tuple[int, int]
"""Places of the earlier and of the later fact in the event order."""

_IMPLYING = frozenset(name for rule in ATTRIBUTE_IMPLICATIONS for name in (rule[0], rule[2]))


def by_attribute(statements: Sequence[Statement]) -> Iterable[Ranks]:
    """Values of one attribute of a subject, and attributes that may imply each other.

    A value of a set goes with the one before it, so that n values give n pairs. A single
    value is compared with others of the same time, or of any time where it cannot change:
    all else is supersession.
    """
    last: dict[tuple[str, str], dict[str, int]] = {}
    about: dict[str, dict[str, int]] = {}
    for statement in statements:
        if statement.triple is None:
            continue
        subject, attribute, value = statement.triple
        values = last.setdefault((subject, attribute), {})
        others = [rank for known, rank in values.items() if known != value]
        for rank in others if is_functional(attribute) else others[-1:]:
            at_once = statements[rank].event_time == statement.event_time
            if at_once or attribute in UNCHANGING or not is_functional(attribute):
                yield rank, statement.rank
        values.pop(value, None)
        values[value] = statement.rank
        if attribute in _IMPLYING:
            latest = about.setdefault(subject, {})
            for other, rank in latest.items():
                if other != attribute:
                    yield rank, statement.rank
            latest[attribute] = statement.rank


def never_done(statements: Sequence[Statement]) -> Iterable[Ranks]:
    """Statements of "have never done X" with what the same person told of X, near as words."""
    if not any(statement.never for statement in statements):
        return
    told: dict[tuple[str, str], list[int]] = {}  # places of deeds, by speaker and stem
    for place, statement in enumerate(statements):
        for stem in statement.stated if statement.deeds else ():
            told.setdefault((statement.speaker, stem), []).append(place)
    for statement in statements:
        for clause in statement.never:
            shared = Counter(
                place for stem in clause.stems for place in told.get((statement.speaker, stem), ())
            )
            for place, stems in shared.items():
                other = statements[place]
                if stems >= 2 and other is not statement:
                    yield min(statement.rank, other.rank), max(statement.rank, other.rank)


def neighbours(statements: Sequence[Statement]) -> Iterable[Ranks]:
    """Facts that name a cause or consequence, with the one before by the same person."""
    before: dict[tuple[str, str], Statement] = {}
    for statement in statements:
        known = before.get((statement.cell_id, statement.speaker))
        if known is not None and known.rank == statement.rank - 1 and statement.connects:
            yield known.rank, statement.rank
        before[statement.cell_id, statement.speaker] = statement
