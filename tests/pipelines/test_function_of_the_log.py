"""Memory is a pure function of the log: invariants 1, 2, 4, 6, 7 and 8 on generated logs."""

from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.local_models import LocalModels
from operators.embedding.host import EmbedderHost
from operators.embedding.minilm import MiniLm
from pipelines.plan import Plan, plan
from pipelines.slice_build import build_slice
from schemas.message import Message
from tests.effort import examples
from tests.pipelines.logs import messages, parsed
from tests.pipelines.resolved import assert_resolved
from tests.reference.memory_store import MemoryStore


@cache
def models() -> LocalModels:
    """The real embedder; it remembers, so a few texts cost little."""
    return LocalModels(EmbedderHost(MiniLm()))


@cache
def shipped() -> Plan:
    return plan("conversation_memory")


def build(batches: list[list[Message]], store: MemoryStore | None = None) -> MemoryStore:
    store = store or MemoryStore()
    for batch in batches:
        build_once(batch, store)
    return store


def build_once(batch: list[Message], store: MemoryStore, using: Plan | None = None):
    result = build_slice(parsed(batch), [], store, (using or shipped()).steps, models())
    store.apply(result.changes)
    return result


@given(messages(), st.randoms(use_true_random=False))
@examples(8)
def test_the_order_of_arrival_does_not_matter(log, random):
    shuffled = random.sample(log, len(log))
    assert build([shuffled]).content() == build([log]).content()


@given(messages(), st.lists(st.integers(0, 12), max_size=4))
@examples(8)
def test_increments_give_what_one_run_gives(log, cuts):
    edges = sorted({0, len(log), *(min(cut, len(log)) for cut in cuts)})
    batches = [log[a:b] for a, b in pairwise(edges)]
    assert build(batches).content() == build([log]).content()


@given(messages())
@examples(6)
def test_running_again_changes_nothing(log):
    store = build([log])
    again = build_once(log, store)
    assert again.changes == ()
    assert again.counters["messages"]["new"] == 0


@given(messages())
@examples(6)
def test_every_memory_resolves_to_messages_that_exist(log):
    store = build([log])
    assert_resolved({name: rows.values() for name, rows in store.rows.items()})


@given(messages())
@examples(6)
def test_other_conversations_are_not_touched(log):
    store = build([log])
    only = [m for m in log if m.conversation_id == "walks"]
    expected = build([only]).content()
    for name, rows in expected.items():
        mine = {row for row in store.content()[name] if "walks" in row}
        assert mine == rows or name == "dead_letters"


STORY = [
    Message.model_validate(
        {
            "conversation_id": "walks",
            "message_id": f"m{index}",
            "speaker": speaker,
            "timestamp": f"2025-0{month}-10T09:0{index}:00Z",
            "text": text,
        }
    )
    for index, (month, speaker, text) in enumerate(
        [
            (3, "Nora", "I live in Porto now, close to the river."),
            (3, "Tomas", "Nice, the river must be lovely in the evening."),
            (5, "Nora", "I moved to Ghent last week and live in Ghent now."),
            (7, "Nora", "I live in Bruges now, the flat has a small garden."),
        ]
    )
]


def test_a_late_message_mends_the_validity_it_must():
    late = build([[STORY[0], STORY[3]], [STORY[2], STORY[1]]])
    assert late.content() == build([STORY]).content()
    cities = {
        row["value"]: (row["status"], row["valid_to"] is None)
        for row in late.rows["facts"].values()
        if row["attribute"] == "home_city"
    }
    assert cities["Porto"] == ("superseded", False)
    assert cities["Ghent"] == ("superseded", False)
    assert cities["Bruges"] == ("active", True)


def test_ids_do_not_depend_on_the_time_of_the_run_or_the_process():
    ids = {row["fact_id"] for row in build([STORY]).rows["facts"].values()}
    assert ids == {row["fact_id"] for row in build([STORY[::-1]]).rows["facts"].values()}
    assert all(str(fact).startswith("fact_") for fact in ids)


CHANGES = {
    "threshold: 0.93": "threshold: 0.97",
    "turns: 2": "turns: 1",
    "gap: 6h": "gap: 3h",
}


@pytest.mark.parametrize("line", sorted(CHANGES))
def test_a_changed_parameter_recomputes_its_step_and_what_is_downstream(line, tmp_path):
    from importlib.resources import files

    text = files("pipelines").joinpath("conversation_memory.yaml").read_text("utf-8")
    assert line in text
    changed_file = tmp_path / "changed.yaml"
    changed_file.write_text(text.replace(line, CHANGES[line]), "utf-8")
    changed = plan(str(changed_file))
    before = {step.id: step.chained_fingerprint for step in shipped().steps}
    touched = {s.id for s in changed.steps if s.chained_fingerprint != before[s.id]}
    assert touched
    store = build([STORY])
    counters = build_once(STORY, store, changed).counters
    for step in changed.steps:
        assert (counters[step.id]["computed"] > 0) == (step.id in touched), step.id
    fresh = MemoryStore()
    build_once(STORY, fresh, changed)
    assert store.content() == fresh.content()
