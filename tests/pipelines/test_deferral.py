"""Deferred consolidation: what waits, what does not, and that nothing is lost by waiting."""

from collections.abc import Collection, Iterable
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.vectors import text_hash
from pipelines.deferral import consolidation_start
from pipelines.slice_build import SliceResult, build_slice
from pipelines.slice_changes import DEFERRED, WHOLE_PLAN
from schemas.message import Message
from tests.effort import examples
from tests.pipelines.logs import START, TEXTS, messages, parsed
from tests.pipelines.test_function_of_the_log import STORY, models, shipped
from tests.reference.memory_store import MemoryStore, Row

BOTH = (("default", "walks"), ("default", "work"))
LATER = (
    *("deduplicate", "evolve", "entities"),
    *("associate", "relate", "scenes", "personas", "reflect", "tree"),
)
Batches = list[tuple[list[Message], Collection[tuple[str, str]]]]


def build(
    store: MemoryStore,
    batch: Iterable[Message],
    defer: Collection[tuple[str, str]] = (),
    conversations: Collection[tuple[str, str]] = (),
) -> SliceResult:
    result = build_slice(
        parsed(list(batch)),
        conversations,
        store,
        shipped().steps,
        models(),
        open_failures=frozenset(str(row["dead_letter_id"]) for row in dead_letters(store)),
        defer=defer,
    )
    store.apply(result.changes)
    return result


def dead_letters(store: MemoryStore) -> list[Row]:
    return list(store.rows["dead_letters"].values())


def consolidated(store: MemoryStore) -> MemoryStore:
    known = {(row["tenant"], row["conversation_id"]) for row in store.rows["messages"].values()}
    build(store, [], conversations=[c for c in BOTH if c in known])
    return store


def in_one(log: Iterable[Message]) -> MemoryStore:
    store = MemoryStore()
    build(store, log)
    return store


@st.composite
def appended(draw: st.DrawFn) -> list[Message]:
    """A log in event order without corrections: what can wait."""
    hours = sorted(draw(st.lists(st.integers(0, 60), min_size=2, max_size=12)))
    return [
        Message(
            conversation_id=draw(st.sampled_from(["walks", "work"])),
            message_id=f"m{number:02}",
            speaker=draw(st.sampled_from(["Nora", "Tomas"])),
            timestamp=START + timedelta(hours=hour, minutes=number),
            text=draw(st.sampled_from(TEXTS)),
        )
        for number, hour in enumerate(hours)
    ]


@st.composite
def batches(draw: st.DrawFn) -> Batches:
    """A log in pieces; of each, which conversations may wait."""
    log = draw(messages() | appended())
    cuts = draw(st.lists(st.integers(0, len(log)), max_size=3))
    edges = sorted({0, len(log), *cuts})
    waits = st.lists(st.sampled_from(BOTH), min_size=0, unique=True)
    return [(log[a:b], draw(waits | st.just(list(BOTH)))) for a, b in pairwise(edges)]


@pytest.mark.slow
@given(batches())
@examples(7)
def test_however_it_waited_a_full_build_gives_what_one_build_gives(pieces):
    store, log, expected = MemoryStore(), [], MemoryStore()
    for batch, defer in pieces:
        log += batch
        result = build(store, batch, defer)
        assert result.deferred <= set(defer)
        assert_resolved(store)
        expected = in_one(log)
        assert facts(store) == facts(expected)
        assert put_off(store) >= result.deferred
    assert consolidated(store).content() == expected.content()
    assert store.rows["stamps"] == expected.rows["stamps"]
    assert build(store, log, BOTH, BOTH).changes == ()


def assert_resolved(store: MemoryStore) -> None:
    """Every memory refers to what is there, and every fact has its vector."""
    rows = {name: list(found.values()) for name, found in store.rows.items()}
    current = {(r["conversation_id"], r["message_id"]) for r in rows["messages"] if r["is_current"]}
    facts = {r["fact_id"] for r in rows["facts"]}
    cells = {r["cell_id"] for r in rows["cells"]}
    sessions = {r["session_id"] for r in rows["sessions"]}
    vectors = {(r["conversation_id"], r["text_hash"]) for r in rows["embeddings"]}
    entities = {(r["conversation_id"], r["entity_id"]) for r in rows["entities"]}
    nodes = {r["node_id"] for r in rows["memtree_nodes"]}
    for row in rows["facts"]:
        said = {(row["conversation_id"], m) for m in row["source_message_ids"]}
        assert said <= current
        assert row["cell_id"] in cells
        assert row["session_id"] in sessions
        assert {row["canonical_id"], row["superseded_by"]} <= {None, *facts}
        assert (row["conversation_id"], text_hash(row["text"])) in vectors
    for row in rows["messages"]:
        assert row["session_id"] in sessions if row["is_current"] else row["session_id"] is None
    for row in rows["mentions"]:
        assert row["fact_id"] in facts
        assert (row["conversation_id"], row["message_id"]) in current
        assert (row["conversation_id"], row["entity_id"]) in entities
    for row in rows["links"]:
        assert {row["source_id"], row["target_id"]} <= facts
    for row in rows["memtree_nodes"]:
        assert set(row["fact_ids"]) <= facts
        assert row["level"] == 1 or set(row["child_ids"]) <= nodes
        assert row["scope_type"] != "session" or row["scope_key"] in sessions


def facts(store: MemoryStore) -> set[tuple[object, ...]]:
    names = ("fact_id", "session_id", "cell_id", "text")
    return {tuple(row[n] for n in names) for row in store.rows["facts"].values()}


def put_off(store: MemoryStore) -> set[tuple[object, object]]:
    stamps = store.rows["stamps"].items()
    return {key[:2] for key, row in stamps if key[3] == WHOLE_PLAN and row["stamp"] == DEFERRED}


def count_later_calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    calls: list[str] = []
    for step in shipped().steps[consolidation_start(shipped().steps) :]:
        run = type(step.operator).run

        def counting(self, tables, models, run=run, name=step.id):
            calls.append(name)
            return run(self, tables, models)

        monkeypatch.setattr(type(step.operator), "run", counting)
    return calls


def test_what_can_wait_begins_behind_the_last_step_by_session_or_text():
    steps = shipped().steps
    assert tuple(step.id for step in steps[consolidation_start(steps) :]) == LATER
    assert consolidation_start(steps[:4]) == 4
    assert consolidation_start(steps[:1]) == 0
    assert consolidation_start([]) == 0


def test_a_deferred_build_runs_none_of_the_later_steps(monkeypatch):
    store = MemoryStore()
    calls = count_later_calls(monkeypatch)
    for message in STORY:
        result = build(store, [message], BOTH)
        assert result.deferred == {BOTH[0]}
        assert not set(result.counters) & set(LATER)
        assert result.counters["consolidation"] == {"deferred": 1, "in_full": 0}
    assert calls == []
    assert len(store.rows["facts"]) == len(in_one(STORY).rows["facts"])
    calls.clear()
    consolidated(store)
    assert calls == list(LATER)


def test_what_the_later_steps_had_written_stays_as_it_is():
    store = MemoryStore()
    build(store, STORY[:3])
    before = {name: dict(rows) for name, rows in store.rows.items()}
    assert build(store, STORY[3:], BOTH).deferred == {BOTH[0]}
    for name in ("links", "entities", "mentions", "memtree_nodes"):
        assert store.rows[name] == before[name]
    assert {k: v for k, v in store.rows["facts"].items() if k in before["facts"]} == before["facts"]
    states = {row["value"]: row["status"] for row in store.rows["facts"].values() if row["value"]}
    assert states == {"Porto": "superseded", "Ghent": "active", "Bruges": "active"}
    assert consolidated(store).content() == in_one(STORY).content()


def test_a_growing_session_can_wait():
    later = STORY[3].model_copy(
        update={
            "message_id": "m9",
            "timestamp": STORY[3].timestamp + timedelta(hours=1),
            "text": "I work at Halden Press as an editor.",
        }
    )
    store = MemoryStore()
    build(store, STORY)
    known = {key: row["status"] for key, row in store.rows["facts"].items()}
    cells = set(store.rows["cells"])
    result = build(store, [later], BOTH)
    assert cells - set(store.rows["cells"]), "the open cell has grown"
    assert result.deferred == {BOTH[0]}
    assert {k: r["status"] for k, r in store.rows["facts"].items() if k in known} == known


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"revision": 1, "text": "I live in Faro now."}, id="correction"),
        pytest.param(
            {"message_id": "m0a", "timestamp": STORY[0].timestamp - timedelta(hours=1)},
            id="another first message, so another session",
        ),
    ],
)
def test_what_takes_something_away_is_built_in_full(change):
    store = MemoryStore()
    build(store, STORY)
    changed = STORY[0].model_copy(update=change)
    other = STORY[0].model_copy(update={"conversation_id": "work"})
    result = build(store, [changed, other], BOTH)
    assert result.deferred == {BOTH[1]}
    assert result.counters["consolidation"] == {"deferred": 1, "in_full": 1}
    assert put_off(store) == {BOTH[1]}
    assert consolidated(store).content() == in_one([*STORY, changed, other]).content()


def test_up_to_date_conversations_are_left_alone():
    store = in_one(STORY)
    result = build(store, STORY, BOTH, BOTH[:1])
    assert result.changes == ()
    assert result.deferred == frozenset()


def test_waiting_twice_changes_nothing():
    store = MemoryStore()
    build(store, STORY, BOTH)
    again = build(store, STORY, BOTH)
    assert again.changes == ()
    assert again.deferred == {BOTH[0]}


@pytest.mark.parametrize(
    ("step", "deferred"), [("extract", False), ("extract", True), ("entities", False)]
)
def test_a_failure_is_kept_while_waiting_and_heals(step, deferred, monkeypatch):
    operator = type(next(s.operator for s in shipped().steps if s.id == step))

    def fails(self, tables, models):
        raise ValueError("not today")

    store = MemoryStore()
    with monkeypatch.context() as patch:
        patch.setattr(operator, "run", fails)
        build(store, STORY[:2], BOTH if deferred else ())
        assert [row["step"] for row in dead_letters(store)] == [step]
    build(store, STORY[2:], BOTH)
    assert_resolved(store)
    assert [row["step"] for row in dead_letters(store)] == [step] * (step == "entities")
    assert len(store.rows["facts"]) == len(in_one(STORY).rows["facts"])
    assert consolidated(store).content() == in_one(STORY).content()
    assert dead_letters(store) == []
