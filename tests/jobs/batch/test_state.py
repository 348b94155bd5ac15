"""What a run knows before it starts: whom to bring up to date."""

from datetime import UTC, datetime

import orjson
import pytest

from jobs.batch.state import load_state
from pipelines.plan import plan
from tests.transforms.warehouse.rows import make_rows, messages
from transforms.call_ledger import INVALID_OUTPUT, NO_ANSWER
from transforms.warehouse.commit import ChangeSet, commit, upsert
from transforms.warehouse.connection import Warehouse


@pytest.mark.parametrize(
    ("reason", "stale"), [(NO_ANSWER, [("default", "c1")]), (INVALID_OUTPUT, [])]
)
def test_what_a_model_did_not_answer_is_asked_again(
    warehouse: Warehouse, reason: str, stale: list[tuple[str, str]]
) -> None:
    shipped = plan("conversation_memory")
    raw = orjson.dumps({"tenant": "default", "conversation_id": "c1", "key": ""})
    letter = {"dead_letter_id": "d", "step": "extract", "reason": reason, "raw": raw}
    run = {"run_id": "r", "job": "run", "status": "done", "fingerprint": shipped.fingerprint}
    rows = make_rows("runs", [{**run, "finished_at": datetime.now(UTC)}])
    said = [ChangeSet("messages", inserts=messages(c, {"m": "hello"})) for c in ("c1", "c2")]
    letters = ChangeSet("dead_letters", inserts=make_rows("dead_letters", [letter]))
    commit(warehouse, [said[0], letters], [upsert("runs", rows)])
    commit(warehouse, [said[1]])
    assert load_state(warehouse, shipped).stale == stale
