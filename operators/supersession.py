"""Validity of facts: a new value of a single-valued attribute ends the one before."""

from typing import Any, ClassVar, Literal, NamedTuple

from operators.base import Key, Models, Operator, StepResult, Tables
from operators.frames import FACT_ORDER, SCOPE, from_rows, groups, need, replace, values
from operators.periods import Period, value_periods
from operators.verdicts.recorded import TABLE as VERDICTS
from operators.verdicts.recorded import Verdicts, recorded_verdicts
from operators.verdicts.replacement import COLUMNS, replacements
from schemas.ids import content_id

_COLUMNS = (*SCOPE, *COLUMNS, "occurred_start")

_Column = dict[str, list[Any]]


class _Ending(NamedTuple):
    """What ends the validity of a fact: a later row, and what says so."""

    later: int
    score: float
    method: Literal["functional_attribute", "model"]


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

    With `judge: verdicts` a fact also ends where a model said that a later one `replaces` it,
    unless that cannot be (see `replacements`; refused verdicts are counted). Of several ends
    the first one counts.

    Input: `facts`; `verdicts` with `judge: verdicts`. Output: `facts.status`,
    `facts.valid_from`, `facts.valid_to` (exclusive, null while it holds),
    `facts.superseded_by`; `links` of type `supersedes` from the later to the earlier fact,
    method `functional_attribute` (score 1) or `model` (the cosine). Errors: none. Cost: none.
    Deterministic.

    Attributes:
        judge: `rules`, or `verdicts` to go by what a model said of pairs as well.
    """

    operator: Literal["supersession"] = "supersession"
    judge: Literal["rules", "verdicts"] = "rules"

    READS: ClassVar[tuple[str, ...]] = ("facts", VERDICTS)
    WRITES: ClassVar[tuple[str, ...]] = (
        "facts.status",
        "facts.valid_from",
        "facts.valid_to",
        "facts.superseded_by",
        "links",
    )
    KEY: ClassVar[Key] = Key.CONVERSATION

    def reads(self) -> tuple[str, ...]:
        """Verdicts only where they judge."""
        return self.READS if self.judge == "verdicts" else self.READS[:-1]

    def run(self, tables: Tables, models: Models) -> StepResult:
        """Fold all conversations of the call."""
        del models
        said = recorded_verdicts(tables, self.operator) if self.judge == "verdicts" else {}
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
        refused = 0
        for scope, rows in groups(table, SCOPE, FACT_ORDER).items():
            active = [row for row in rows if kept[row]]
            endings = _by_rule(active, column, out)
            refused += _by_model(rows, column, out, said.get(scope, {}), endings)
            for former, ending in endings.items():
                out["status"][former] = "superseded"
                out["superseded_by"][former] = column["fact_id"][ending.later]
                links.append(_link(scope, former, ending, column))
        facts = replace("facts", table, out)
        counters = {"in": table.num_rows, "out": table.num_rows, "superseded": len(links)}
        if self.judge == "verdicts":
            counters["superseded_by_model"] = sum(link["method"] == "model" for link in links)
            counters["replaces_refused"] = refused
        return StepResult({"facts": facts, "links": from_rows("links", links)}, counters)


def _by_rule(active: list[int], column: _Column, out: _Column) -> dict[int, _Ending]:
    """Fill in the validity of single-valued attributes; the endings by former row."""
    periods = value_periods(active, column["subject"], column["attribute"], column["value"])
    endings: dict[int, _Ending] = {}
    for chain in _chains(periods):
        for former, later in _fold(chain, column, out):
            endings[former] = _Ending(later, 1.0, "functional_attribute")
    return endings


def _by_model(
    rows: list[int], column: _Column, out: _Column, said: Verdicts, endings: dict[int, _Ending]
) -> int:
    """Add the endings by verdicts where no earlier one is known; return how many were refused."""
    if not said:
        return 0
    found, refused = replacements(rows, column, said)
    for former, later, score in found:
        # A later value may have held since before: no interval is negative.
        end = max(out["valid_from"][later], out["valid_from"][former])
        known = out["valid_to"][former]
        if known is None or end < known:
            out["valid_to"][former] = end
            endings[former] = _Ending(later, score, "model")
    return refused


def _chains(periods: dict[int, Period]) -> list[list[list[int]]]:
    """Per (subject, attribute): its periods in order, each the rows in event order."""
    chains: dict[tuple[str, str], list[list[int]]] = {}
    for row, (subject, attribute, number) in periods.items():
        chain = chains.setdefault((subject, attribute), [])
        if number == len(chain):
            chain.append([])
        chain[number].append(row)
    return list(chains.values())


def _fold(chain: list[list[int]], column: _Column, out: _Column) -> list[tuple[int, int]]:
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
            out["valid_to"][former] = out["valid_from"][later]
            closed.append((former, later))
    return closed


def _link(scope: tuple[Any, ...], former: int, ending: _Ending, column: _Column) -> dict[str, Any]:
    source, target = column["fact_id"][ending.later], column["fact_id"][former]
    return {
        "tenant": scope[0],
        "conversation_id": scope[1],
        "link_id": content_id("link", "supersedes", source, target),
        "type": "supersedes",
        "source_id": source,
        "target_id": target,
        "score": ending.score,
        "method": ending.method,
        "step": "supersession",
    }
