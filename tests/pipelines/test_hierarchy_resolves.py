"""Every memory of every level resolves to messages that exist, at any moment."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.slice_build import build_slice
from schemas.message import Message
from tests.effort import examples
from tests.jobs.builds import sample_lines
from tests.pipelines.logs import parsed
from tests.pipelines.resolved import assert_resolved
from tests.pipelines.test_function_of_the_log import build, models, shipped
from tests.pipelines.themed_logs import story, themed
from tests.reference.memory_store import MemoryStore

LEVELS = ("episodes", "scenes", "scene_members", "personas")
BOTH = (("default", "walks"), ("default", "work"))


def check(store: MemoryStore) -> None:
    assert_resolved({name: rows.values() for name, rows in store.rows.items()})


def test_a_told_story_has_every_level():
    store = build([story()])
    check(store)
    assert [name for name in LEVELS if not store.rows[name]] == []
    types = {str(row["type"]) for row in store.rows["links"].values()}
    assert "associated" in types
    ends = {str(r["source_id"]).split("_")[0] for r in store.rows["links"].values()}
    assert {"fact", "session"} <= ends


def test_the_sample_logs_resolve():
    log = [Message.model_validate(line) for line in sample_lines(60, 1)]
    store = build([log])
    check(store)
    assert [name for name in LEVELS if not store.rows[name]] == []


@given(themed(), st.lists(st.integers(0, 22), max_size=3))
@examples(6)
def test_it_resolves_after_every_increment(log, cuts):
    edges = sorted({0, len(log), *(min(cut, len(log)) for cut in cuts)})
    store = MemoryStore()
    for start, end in pairwise(edges):
        build([log[start:end]], store)
        check(store)


@pytest.mark.slow
@given(themed(), st.lists(st.integers(0, 22), max_size=3))
@examples(6)
def test_it_resolves_while_steps_are_put_off(log, cuts):
    edges = sorted({0, len(log), *(min(cut, len(log)) for cut in cuts)})
    store = MemoryStore()
    for start, end in pairwise(edges):
        batch = parsed(log[start:end])
        built = build_slice(batch, [], store, shipped().steps, models(), defer=BOTH)
        store.apply(built.changes)
        check(store)


def test_the_story_resolves_while_steps_are_put_off():
    log = story()
    store = build([log[:24]])
    for start in range(24, 48, 8):
        batch = parsed(log[start : start + 8])
        built = build_slice(batch, [], store, shipped().steps, models(), defer=BOTH)
        store.apply(built.changes)
        assert built.deferred == {BOTH[0]}, "what only adds to a conversation can wait"
        check(store)
