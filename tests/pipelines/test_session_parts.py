"""A conversation built in parts is the conversation built whole, whatever the parts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.base import ModelAccess, Tables
from pipelines.part_sizes import PartSizes
from pipelines.plan import Plan, plan
from pipelines.session_parts import PartRows, _runs, build_part, split_steps
from pipelines.slice_build import SliceResult, build_slice, cut_slice
from schemas.message import Message
from schemas.tombstones import tombstone_id
from tests.effort import examples
from tests.pipelines.llm_engine import Engine
from tests.pipelines.logs import messages, parsed, sample
from tests.pipelines.test_function_of_the_log import STORY, models, shipped
from tests.reference.memory_store import MemoryStore, Row
from transforms.step_time import MILLISECONDS

LLM = plan("conversation_memory_llm")
SMALLEST = PartSizes(split_messages=1, parts=100, least_chars=1, most_chars=100_000)
Letters = frozenset[str]


@dataclass
class Builder:
    """Builds into a store, in parts or whole."""

    store: MemoryStore
    using: Plan
    models: ModelAccess
    erased: frozenset[str] = frozenset()

    def whole(self, batch: Iterable[Message], parts: Sequence[PartRows] = ()) -> SliceResult:
        letters = frozenset(
            str(r["dead_letter_id"]) for r in self.store.rows["dead_letters"].values()
        )
        result = build_slice(
            *(parsed(list(batch)), [], self.store, self.using.steps, self.models),
            *(self.erased, letters),
            parts=parts,
        )
        self.store.apply(result.changes)
        return result

    def parts(self, batch: Iterable[Message], sizes: PartSizes = SMALLEST) -> list[PartRows]:
        split = split_steps(self.using.steps)
        assert split is not None
        cut = cut_slice(
            *(parsed(list(batch)), [], self.store, self.using.steps, self.models),
            sizes,
            self.erased,
        )
        return [build_part(split, part, cut.shared, self.models) for part in cut.parts]

    def in_parts(self, batch: list[Message], sizes: PartSizes = SMALLEST) -> SliceResult:
        return self.whole(batch, self.parts(batch, sizes))


def builder(using: Plan | None = None, model: ModelAccess | None = None) -> Builder:
    return Builder(MemoryStore(), using or shipped(), model or models())


def dead_letters(built: Builder) -> list[Row]:
    return list(built.store.rows["dead_letters"].values())


def says(tables: Tables, words: str) -> bool:
    return any(words in str(row) for table in tables.values() for row in table.to_pylist())


def same(one: Builder, other: Builder) -> bool:
    return (
        one.store.content() == other.store.content()
        and one.store.rows["stamps"] == other.store.rows["stamps"]
    )


def kept_counts(result: SliceResult) -> dict[str, dict[str, int]]:
    """Counts of each step, without the time it took."""
    return {
        step: {name: n for name, n in sorted(counts.items()) if name != MILLISECONDS}
        for step, counts in result.counters.items()
    }


@pytest.mark.slow
@given(
    messages(size=16),
    st.lists(st.integers(0, 16), max_size=3),
    st.integers(1, 5),
    st.randoms(use_true_random=False),
)
@examples(4)
def test_parts_of_any_number_in_any_order_change_nothing(log, cuts, count, random):
    sizes = PartSizes(1, count, 1, 100_000)
    whole, split = builder(), builder()
    edges = sorted({0, len(log), *(min(cut, len(log)) for cut in cuts)})
    for batch in (log[a:b] for a, b in pairwise(edges)):
        parts = split.parts(batch, sizes)
        random.shuffle(parts)
        split.whole(batch, parts[: random.randint(0, len(parts))])  # Some may be lost.
        whole.whole(batch)
    assert same(split, whole)


def test_the_steps_of_a_part_follow_from_the_plan():
    for using in (shipped(), LLM):
        split = split_steps(using.steps)
        assert split is not None
        assert [step.id for step in split.lead] == ["sessions"]
        assert [step.id for step in split.inner] == ["cells", "extract", "embed", "episodes"]
    steps = shipped().steps
    assert split_steps(steps[5:]) is None  # Folds alone.
    assert split_steps([steps[0], *steps[5:]]) is None


def test_parts_of_fifty_megabytes_are_of_equal_size():
    sessions = pl.DataFrame(
        {"session_id": [f"{n:04}" for n in range(2000)], "chars": [25_000] * 2000},
        schema={"session_id": pl.String, "chars": pl.UInt32},  # As Polars counts characters.
    )
    runs = _runs(sessions, PartSizes(5_000, 6, 50_000, 500_000))
    assert [int(run["chars"].sum()) for run in runs] == [500_000] * 100
    assert pl.concat(runs).equals(sessions)


def test_the_whole_takes_what_the_parts_hand_over(monkeypatch):
    split = builder()
    parts = split.parts(STORY)
    assert len(parts) == 3

    def fails(self, tables, models):
        raise AssertionError("the parts have done this")

    steps = {step.id: step for step in shipped().steps}
    with monkeypatch.context() as patch:
        for name in ("cells", "extract", "episodes"):
            patch.setattr(type(steps[name].operator), "run", fails)
        result = split.whole(STORY, parts)
    whole = builder()
    assert kept_counts(result) == kept_counts(whole.whole(STORY))
    assert same(split, whole)
    assert dead_letters(split) == []


def test_an_append_hands_over_what_it_changes_only():
    split = builder()
    split.in_parts(STORY)
    late = STORY[1].model_copy(update={"message_id": "late", "text": "I have a dog, too."})
    new = STORY[3].model_copy(update={"message_id": "new", "text": "I like the garden."})
    parts = split.parts([late, new])
    assert len(parts) == 2
    assert {key[3] for part in parts for key in part.stamps} == {"cells", "extract", "episodes"}
    assert len({key[2] for part in parts for key in part.stamps}) == 2
    split.whole([late, new], parts)
    whole = builder()
    whole.whole([*STORY, late, new])
    assert same(split, whole)
    assert split.parts([*STORY, late, new]) == []


def test_sessions_that_a_late_message_joins_are_built_as_one():
    hours = [STORY[0].timestamp.replace(hour=hour) for hour in (9, 19, 14)]
    log = [
        STORY[0].model_copy(update={"message_id": f"h{at.hour}", "timestamp": at}) for at in hours
    ]
    split, whole = builder(), builder()
    split.in_parts([*STORY[2:], *log[:2]])
    split.in_parts([log[2], *STORY[:2]])
    whole.whole([*STORY, *log])
    assert same(split, whole)


def test_erased_messages_are_in_no_part():
    erased = frozenset({tombstone_id("default", "walks", STORY[2].message_id)})
    split, whole = builder(), builder()
    split.erased = whole.erased = erased
    split.in_parts(STORY)
    whole.whole(STORY)
    assert same(split, whole)
    assert len(split.store.rows["messages"]) == len(STORY) - 1


@pytest.mark.parametrize("step", ["cells", "extract", "embed", "episodes", "deduplicate"])
def test_a_failure_in_a_part_is_told_once_and_heals(step, monkeypatch):
    operator = type(next(s.operator for s in shipped().steps if s.id == step))
    run = operator.run

    def fails(self, tables, models):
        if says(tables, "Ghent"):
            raise ValueError("not Ghent")
        return run(self, tables, models)

    split, whole = builder(), builder()
    with monkeypatch.context() as patch:
        patch.setattr(operator, "run", fails)
        split.in_parts(STORY)
        whole.whole(STORY)
    assert same(split, whole)
    # A step that misses the failed one's rows may fail as well.
    assert dead_letters(split)[0]["step"] == step
    split.in_parts(STORY)
    whole.whole(STORY)
    assert same(split, whole)
    assert dead_letters(split) == []


@pytest.fixture(scope="module")
def friends() -> list[Message]:
    return sample("friends", 60)


@pytest.mark.slow
def test_a_model_is_asked_by_the_parts_and_not_again(friends: list[Message]):
    engine, alone = Engine(), Engine()
    split, whole = builder(LLM, engine), builder(LLM, alone)
    parts = split.parts(friends)
    assert len(parts) > 2
    by_parts = len(engine.calls)
    assert by_parts
    result = split.whole(friends, parts)
    whole.whole(friends)
    assert same(split, whole)
    assert sorted(engine.calls) == sorted(alone.calls)
    assert result.counters["extract"]["calls"] + result.counters["episodes"]["calls"] == by_parts


@pytest.mark.slow
def test_answers_that_cannot_be_used_are_told_as_ever(friends: list[Message]):
    split, whole = builder(LLM, Engine(broken=True)), builder(LLM, Engine(broken=True))
    for batch in (friends[:40], friends[30:]):
        result = split.in_parts(batch)
        assert kept_counts(result)["extract"]["set_aside"] > 0
        whole.whole(batch)
        assert same(split, whole)
    assert {row["reason"] for row in dead_letters(split)} == {"invalid_output"}
    # Well again, and changed: the letters of sessions that are asked again go.
    changed = [m.model_copy(update={"revision": 1, "text": m.text + " Really."}) for m in friends]
    split.models = whole.models = Engine()
    split.in_parts(changed)
    whole.whole(changed)
    assert same(split, whole)


@pytest.mark.slow
@pytest.mark.parametrize("step", ["extract", "episodes", "verdicts"])
def test_what_was_answered_before_a_failure_is_kept(step, friends, monkeypatch):
    operator = type(next(s.operator for s in LLM.steps if s.id == step))
    run = operator.run
    engine, alone = Engine(), Engine()
    split, whole = builder(LLM, engine), builder(LLM, alone)
    split.in_parts(friends[:40])
    whole.whole(friends[:40])
    bad = friends[45].message_id
    # The first session changes too: what was asked about it before is kept for as long.
    late = friends[1].model_copy(update={"message_id": "late", "text": "My bike was stolen, too."})
    more = [*friends, late]

    def fails(self, tables, models):
        result = run(self, tables, models)
        if says(tables, bad):
            raise ValueError("not today")
        return result

    with monkeypatch.context() as patch:
        patch.setattr(operator, "run", fails)
        split.in_parts(more)
        whole.whole(more)
        assert [row["step"] for row in dead_letters(split)] == [step]
    assert same(split, whole)
    assert sorted(set(engine.calls)) == sorted(set(alone.calls))
    asked = len(engine.calls)
    assert asked == len(set(engine.calls))
    split.in_parts(more)
    whole.whole(more)
    assert same(split, whole)
    assert len(engine.calls) == len(set(engine.calls))


@pytest.mark.slow
def test_a_part_may_fail_where_the_whole_does_not(friends: list[Message], monkeypatch):
    operator = type(next(s.operator for s in LLM.steps if s.id == "extract"))
    run = operator.run
    split, whole = builder(LLM, Engine()), builder(LLM, Engine())
    split.in_parts(friends[:40])
    whole.whole(friends[:40])
    late = friends[1].model_copy(update={"message_id": "late", "text": "My bike was stolen, too."})

    def fails(self, tables, models):
        if says(tables, friends[45].message_id):
            raise ValueError("not yet")
        return run(self, tables, models)

    with monkeypatch.context() as patch:
        patch.setattr(operator, "run", fails)
        parts = split.parts([*friends, late])
    split.whole([*friends, late], parts)
    whole.whole([*friends, late])
    assert same(split, whole)
    assert dead_letters(split) == []


@pytest.mark.slow
@given(messages(size=14), st.lists(st.integers(0, 14), max_size=2))
@examples(4)
def test_parts_by_a_model_change_nothing(log, cuts):
    split, whole = builder(LLM, Engine()), builder(LLM, Engine())
    edges = sorted({0, len(log), *(min(cut, len(log)) for cut in cuts)})
    for batch in (log[a:b] for a, b in pairwise(edges)):
        split.in_parts(batch)
        whole.whole(batch)
        assert same(split, whole)
