"""Validity by definition, slowly: what each fact's row says, asked of the whole set."""

from typing import Any


def validity(facts: list[dict[str, Any]], single_valued: set[str]) -> dict[str, tuple[Any, ...]]:
    """(status, valid_from, valid_to, superseded_by) by fact id."""
    out: dict[str, tuple[Any, ...]] = {}
    for fact in facts:
        if fact["status"] == "duplicate":
            out[fact["fact_id"]] = ("duplicate", None, None, None)
            continue
        later = next(
            (
                other
                for other in _chain(fact, facts, single_valued)
                if _order(other) > _order(fact) and _value(other) != _value(fact)
            ),
            None,
        )
        start = _start(fact, facts, single_valued)
        if later is None:
            out[fact["fact_id"]] = ("active", start, None, None)
        else:
            end = _start(later, facts, single_valued)
            out[fact["fact_id"]] = ("superseded", start, end, later["fact_id"])
    return out


def _chain(fact: dict[str, Any], facts: list[dict[str, Any]], single: set[str]):
    """All facts about the same single-valued attribute, in event order."""
    if fact["attribute"] not in single or fact["subject"] is None or fact["value"] is None:
        return []
    return sorted(
        (
            other
            for other in facts
            if other["status"] != "duplicate"
            and other["conversation_id"] == fact["conversation_id"]
            and other["attribute"] == fact["attribute"]
            and other["value"] is not None
            and (other["subject"] or "").casefold() == fact["subject"].casefold()
        ),
        key=_order,
    )


def _order(fact: dict[str, Any]):
    names = ("event_time", "seq", "message_id", "ordinal", "fact_id")
    return tuple(fact[name] for name in names)


def _value(fact: dict[str, Any]) -> str:
    return fact["value"].casefold()


def _start(fact: dict[str, Any], facts: list[dict[str, Any]], single: set[str]):
    """Its own start, but not before any start in the period before its own."""
    chain = _chain(fact, facts, single)
    if not chain:
        return fact["event_time"]
    before = [other for other in chain if _order(other) < _order(fact)]
    while before and _value(before[-1]) == _value(fact):
        before.pop()
    period = []
    while before and (not period or _value(before[-1]) == _value(period[-1])):
        period.append(before.pop())
    starts = [_start(other, facts, single) for other in period]
    own = min(fact["event_time"], fact["occurred_start"] or fact["event_time"])
    return max([own, *starts])
