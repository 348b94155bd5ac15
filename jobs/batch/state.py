"""What a run needs to know of the warehouse before it starts."""

from dataclasses import dataclass

import orjson

from jobs.batch.input_ledger import KnownInput, known_inputs
from jobs.recorded_builds import BUILDS
from jobs.run_record import CURRENT
from pipelines.plan import Plan
from pipelines.slice_changes import DEFERRED, WHOLE_PLAN
from transforms.call_ledger import NO_ANSWER
from transforms.frame import Conversation
from transforms.warehouse.connection import Warehouse
from transforms.warehouse.read import conversation_ids, read_table


@dataclass(frozen=True)
class WarehouseState:
    """Recorded state.

    Attributes:
        empty: no conversation has been built yet, so nothing need be looked up.
        stale: conversations that another plan than this has built, in part or in whole, those
            of which a stream has put off some steps, and those in which the rules stand in for
            a model that did not answer.
        inputs: files read so far.
        tombstones: erased messages.
        open_failures: dead letters of operators, which a success removes.
    """

    empty: bool
    stale: list[Conversation]
    inputs: dict[str, KnownInput]
    tombstones: frozenset[str]
    open_failures: frozenset[str]


def load_state(warehouse: Warehouse, plan: Plan) -> WarehouseState:
    """Read the state; cheap on an empty warehouse."""
    conversations = conversation_ids(warehouse)
    failures = read_table(warehouse, "dead_letters", ["dead_letter_id"], where="step <> 'read'")
    tombstones = read_table(warehouse, "tombstones", ["tombstone_id"])
    return WarehouseState(
        empty=not conversations,
        stale=sorted(
            {
                *_stale(warehouse, plan, conversations),
                *_deferred(warehouse),
                *_unanswered(warehouse),
            }
        ),
        inputs=known_inputs(read_table(warehouse, "offsets")),
        tombstones=frozenset(map(str, tombstones["tombstone_id"].to_pylist())),
        open_failures=frozenset(map(str, failures["dead_letter_id"].to_pylist())),
    )


def _deferred(warehouse: Warehouse) -> list[Conversation]:
    """Conversations whose later steps a stream has put off."""
    rows = warehouse.rows(
        "SELECT tenant, conversation_id FROM stamps WHERE step = ? AND stamp = ?",
        [WHOLE_PLAN, DEFERRED],
    )
    return [(tenant, conversation) for tenant, conversation in rows]


def _unanswered(warehouse: Warehouse) -> list[Conversation]:
    """Conversations in which a call of a language model got no answer: to be asked again."""
    letters = read_table(warehouse, "dead_letters", ["raw"], where=f"reason = '{NO_ANSWER}'")
    about = [orjson.loads(row["raw"]) for row in letters.to_pylist()]
    return [(named["tenant"], named["conversation_id"]) for named in about]


def _stale(
    warehouse: Warehouse, plan: Plan, conversations: list[Conversation]
) -> list[Conversation]:
    """All conversations unless every run since the last complete one had this very plan.

    A superset is harmless: what the stamps show to be up to date is not computed again.
    """
    rows = warehouse.rows(
        f"SELECT fingerprint, status FROM runs WHERE {BUILDS} ORDER BY finished_at DESC, run_id"
    )
    for fingerprint, status in rows:
        if fingerprint != plan.fingerprint:
            return conversations
        if status in CURRENT:
            return []
    return conversations
