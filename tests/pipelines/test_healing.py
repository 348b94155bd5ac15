"""A step that fails costs its own rows only, and once it works nothing tells that it had failed."""

import re
from pathlib import Path

import pytest

from pipelines.plan import plan
from pipelines.slice_build import SliceResult, build_slice
from schemas.message import Message
from tests.pipelines.logs import parsed
from tests.pipelines.test_function_of_the_log import STORY, build, models, shipped
from tests.reference.memory_store import MemoryStore

WALKS = [("default", "walks")]
STEPS = {step.id: step for step in shipped().steps}
ENRICHING = {"embed", "deduplicate", "evolve", "reflect"}  # Or what they need is missing.


def again(store: MemoryStore, batch: list[Message], pipeline: str | Path) -> SliceResult:
    """A run over what is recorded, and the batch."""
    letters = frozenset(str(key[0]) for key in store.rows["dead_letters"])
    steps = plan(pipeline).steps
    result = build_slice(parsed(batch), WALKS, store, steps, models(), open_failures=letters)
    store.apply(result.changes)
    return result


@pytest.mark.parametrize("built", [0, 2], ids=["new", "grown"])
@pytest.mark.parametrize(
    "failing",
    [pytest.param(n, marks=[] if n in ENRICHING else pytest.mark.slow) for n in sorted(STEPS)],
)
def test_one_failure_leaves_no_trace(
    failing: str, built: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = build([STORY[:built]]) if built else MemoryStore()

    def fails(*_: object) -> None:
        raise ValueError("out of order")

    with monkeypatch.context() as patch:
        patch.setattr(type(STEPS[failing].operator), "run", fails)
        again(store, STORY, "conversation_memory")
    assert store.rows["dead_letters"]
    facts = len(store.rows["facts"])
    again(store, [], "conversation_memory")
    whole = build([STORY])
    assert store.content() == whole.content()
    assert store.rows["stamps"] == whole.rows["stamps"]
    # What the step was to enrich has stood meanwhile; without cells or sessions there is none.
    assert facts or failing in {"sessions", "cells", "extract"}


def test_a_step_that_is_taken_out_takes_its_verdicts_along(tmp_path: Path) -> None:
    """`deduplicate` is as it was, but what is recorded in its column was the other one's word."""
    text = Path("pipelines/conversation_memory.yaml").read_text()
    without = tmp_path / "without_evolve.yaml"
    without.write_text(re.sub(r"  - id: evolve\n.*?(?=\n  - id: )", "", text, flags=re.DOTALL))
    assert {step.id for step in plan(without).steps} == STEPS.keys() - {"evolve"}

    store, fresh = build([STORY]), MemoryStore()
    assert any(row["status"] == "superseded" for row in store.rows["facts"].values())
    again(store, [], without)
    again(fresh, STORY, without)
    assert store.content() == fresh.content()
    assert {row["status"] for row in fresh.rows["facts"].values()} == {"active"}
