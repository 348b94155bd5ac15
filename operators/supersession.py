"""Validity of facts: a new value of a single-valued attribute ends the one before."""

from typing import Any, ClassVar, Literal

from operators.base import Key, Models, Operator, StepResult, Tables
from operators.frames import FACT_ORDER, SCOPE, from_rows, groups, need, replace, values
from operators.periods import Period, value_periods
from schemas.ids import content_id

_METHOD = "functional_attribute"
_COLUMNS = (
    *(*SCOPE, "fact_id", "status", "event_time", "occurred_start"),
    *("subject", "attribute", "value"),
)


class Supersession(Operator, frozen=True):
    """Give every fact its validity, and close it when a later fact says otherwise.

    Method: a fold in event time per (subject, attribute), over attributes that have one
    value at a time (home city, employer); the update rule of bitemporal stores, and of
    Keep Me Updated (arXiv 2210.08750, REPLACE and PASS), without a model. Facts in sequence
    with equal values form a period: all of them stay active, each from its own time. The
    first fact of the next period supersedes them all. Attributes with several values at a
    time are never superseded. The fold looks at the whole set, so a late fact gives what an
    in-order run gives.

    valid_from is the event time; for a single-valued attribute it is `occurred_start` where
    that lies in the past ("since 2019"), but not before any valid_from of the period before,
    so that no interval is negative. Order is by event time alone. Duplicates get none.

    Input: `facts`. Output: `facts.status`, `facts.valid_from`, `facts.valid_to` (exclusive,
    null while it holds), `facts.superseded_by`; `links` of type `supersedes` from the later
    to the earlier fact. Errors: none. Cost: none. Deterministic.
    """

    operator: Literal["supersession"] = "supersession"

    READS: ClassVar[tuple[str, ...]] = ("facts",)
    WRITES: ClassVar[tuple[str, ...]] = (
        "facts.status",
        "facts.valid_from",
        "facts.valid_to",
        "facts.superseded_by",
        "links",
    )
    KEY: ClassVar[Key] = Key.CONVERSATION

    def run(self, tables: Tables, models: Models) -> StepResult:
        """Fold all conversations of the call."""
        del models
        table = need(tables, "facts", self.operator)
        column = {name: values(table, name) for name in _COLUMNS}
        kept = [status != "duplicate" for status in column["status"]]
        pairs = zip(column["event_time"], kept, strict=True)
        out: dict[str, list[Any]] = {
            "status": ["active" if keep else "duplicate" for keep in kept],
            "valid_from": [time if keep else None for time, keep in pairs],
            "valid_to": [None] * table.num_rows,
            "superseded_by": [None] * table.num_rows,
        }
        links: list[dict[str, Any]] = []
        for scope, rows in groups(table, SCOPE, FACT_ORDER).items():
            active = [row for row in rows if kept[row]]
            periods = value_periods(active, column["subject"], column["attribute"], column["value"])
            for chain in _chains(periods):
                for former, later in _fold(chain, column, out):
                    links.append(_link(scope, column["fact_id"][later], column["fact_id"][former]))
        facts = replace("facts", table, out)
        counters = {"in": table.num_rows, "out": table.num_rows, "superseded": len(links)}
        return StepResult({"facts": facts, "links": from_rows("links", links)}, counters)


def _chains(periods: dict[int, Period]) -> list[list[list[int]]]:
    """Per (subject, attribute): its periods in order, each the rows in event order."""
    chains: dict[tuple[str, str], list[list[int]]] = {}
    for row, (subject, attribute, number) in periods.items():
        chain = chains.setdefault((subject, attribute), [])
        if number == len(chain):
            chain.append([])
        chain[number].append(row)
    return list(chains.values())


def _fold(
    chain: list[list[int]], column: dict[str, list[Any]], out: dict[str, list[Any]]
) -> list[tuple[int, int]]:
    """Fill in the validity of one chain; return the pairs (former, later) of rows."""
    closed: list[tuple[int, int]] = []
    floor: int | None = None
    for number, period in enumerate(chain):
        for row in period:
            said, occurred = column["event_time"][row], column["occurred_start"][row]
            since = said if occurred is None else min(said, occurred)
            out["valid_from"][row] = since if floor is None else max(since, floor)
        floor = max(out["valid_from"][row] for row in period)
        if number == 0:
            continue
        later = period[0]
        for former in chain[number - 1]:
            out["status"][former] = "superseded"
            out["valid_to"][former] = out["valid_from"][later]
            out["superseded_by"][former] = column["fact_id"][later]
            closed.append((former, later))
    return closed


def _link(scope: tuple[Any, ...], later: str, former: str) -> dict[str, Any]:
    return {
        "tenant": scope[0],
        "conversation_id": scope[1],
        "link_id": content_id("link", "supersedes", later, former),
        "type": "supersedes",
        "source_id": later,
        "target_id": former,
        "score": 1.0,
        "method": _METHOD,
        "step": "supersession",
    }
