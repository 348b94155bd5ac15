"""The levels above facts are a function of the log, too: on logs whose themes come back."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.base import Key
from pipelines.slice_build import build_slice
from tests.effort import examples
from tests.pipelines.logs import parsed
from tests.pipelines.test_function_of_the_log import build, build_once, models, shipped
from tests.pipelines.themed_logs import story, themed, told
from tests.reference.memory_store import MemoryStore

WALKS, WORK = ("default", "walks"), ("default", "work")
LEVELS = ("episodes", "links", "scenes", "scene_members", "personas", "memtree_nodes")


@given(themed(), st.randoms(use_true_random=False))
@examples(6)
def test_the_order_of_arrival_does_not_matter(log, random):
    shuffled = random.sample(log, len(log))
    assert build([shuffled]).content() == build([log]).content()


@given(themed(), st.lists(st.integers(0, 22), max_size=3), st.booleans())
@examples(6)
def test_increments_give_what_one_run_gives(log, cuts, backwards):
    edges = sorted({0, len(log), *(min(cut, len(log)) for cut in cuts)})
    batches = [log[a:b] for a, b in pairwise(edges)]
    if backwards:  # The last session first: every other one comes late.
        batches.reverse()
    assert build(batches).content() == build([log]).content()


@pytest.mark.slow
@given(themed(), st.integers(0, 22))
@examples(4)
def test_however_it_waited_a_consolidation_gives_what_one_run_gives(log, cut):
    store = build([log[:cut]]) if log[:cut] else MemoryStore()
    steps = shipped().steps
    late = build_slice(parsed(log[cut:]), [], store, steps, models(), defer=(WALKS, WORK))
    store.apply(late.changes)
    known = {(r["tenant"], r["conversation_id"]) for r in store.rows["messages"].values()}
    made_up = build_slice(
        parsed([]), [c for c in (WALKS, WORK) if c in known], store, steps, models()
    )
    store.apply(made_up.changes)
    assert store.content() == build([log]).content()


@pytest.mark.parametrize("late", range(6))
def test_a_late_session_of_the_story(late):
    """Whichever session comes last, also as a stream that puts steps off would have it."""
    log = story()
    session = log[8 * late : 8 * late + 8]
    store = build([[m for m in log if m not in session], session])
    assert store.content() == expected_story()


def test_the_story_as_a_stream_tells_it():
    """In pieces that end inside a session: it grows, and what is put off can wait all the same."""
    store = MemoryStore()
    for start in range(0, 48, 12):
        batch = parsed(story()[start : start + 12])
        built = build_slice(batch, [], store, shipped().steps, models(), defer=[WALKS])
        store.apply(built.changes)
        assert built.deferred == {WALKS}
    made_up = build_slice(parsed([]), [WALKS], store, shipped().steps, models())
    store.apply(made_up.changes)
    assert store.content() == expected_story()
    assert all(store.rows[name] for name in LEVELS)


def expected_story() -> object:
    return build([story()]).content()


def test_other_conversations_are_not_recomputed():
    """Neither run nor rewritten: a step over whole conversations costs what changed."""
    store = build([[*story("walks"), *story("work")]])
    before = {name: dict(rows) for name, rows in store.rows.items()}

    result = build_once([told("work", 200, 30, "I planted tomatoes in Ghent.")], store)

    for step in shipped().steps:
        counts = result.counters[step.id]
        if step.key is Key.CONVERSATION:
            assert (counts["computed"], counts["kept"]) == (1, 0), step.id
        elif step.key is Key.SESSION:
            assert counts["computed"] == 1, step.id
    for name, rows in store.rows.items():
        walks = {key: row for key, row in rows.items() if row.get("conversation_id") == "walks"}
        known = before[name].items()
        assert walks == {k: row for k, row in known if row.get("conversation_id") == "walks"}, name
    assert store.rows["facts"] != before["facts"]


def test_a_conversation_is_what_it_is_alone():
    both = build([[*story("walks"), *story("work")]])
    alone = build([story("walks")])
    for name, rows in alone.rows.items():
        mine = {k: r for k, r in both.rows[name].items() if r.get("conversation_id") == "walks"}
        assert mine == rows, name


@pytest.mark.slow
def test_a_changed_step_of_a_level_leaves_the_levels_below_alone():
    """What is computed again is the step and what is downstream of it, for every such step."""
    store = build([story()])
    plan = shipped()
    later = [step.id for step in plan.steps if step.key is Key.CONVERSATION]
    for step_id in later:
        stale = {step_id, *plan.downstream(step_id)}
        kept = {k: r for k, r in store.rows["stamps"].items() if k[3] not in {*stale, "*"}}
        copy = MemoryStore()
        copy.rows = {**{n: dict(r) for n, r in store.rows.items()}, "stamps": kept}
        built = build_slice(parsed([]), [WALKS], copy, plan.steps, models())
        computed = {step.id for step in plan.steps if built.counters[step.id]["computed"]}
        assert computed == stale, step_id
        copy.apply(built.changes)
        assert copy.content() == store.content(), step_id
