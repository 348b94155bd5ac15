import json
from datetime import UTC, datetime, timedelta

import pytest

from jobs.why import UnknownIdError, render, why
from schemas.ids import content_hash, content_id
from tests.transforms.warehouse.rows import START, make_rows, messages
from transforms.warehouse.commit import ChangeSet, commit, upsert
from transforms.warehouse.connection import Warehouse


@pytest.fixture
def filled(warehouse: Warehouse) -> Warehouse:
    scope = {"conversation_id": "c1", "session_id": "session_1", "cell_id": "cell_1"}
    facts = [
        {"fact_id": "fact_old", "message_id": "m1", "source_message_ids": ["m1"],
         "text": "Ana lives in Rome", "status": "superseded", "superseded_by": "fact_new",
         "span_end": 4},
        {"fact_id": "fact_new", "message_id": "m2", "source_message_ids": ["m2"],
         "text": "Ana lives in Oslo", "status": "active"},
        {"fact_id": "fact_same", "message_id": "m3", "source_message_ids": ["m3"],
         "text": "Oslo is home", "status": "duplicate", "canonical_id": "fact_new"},
    ]  # fmt: skip
    node = {**scope, "tree_id": "t", "scope_type": "session", "scope_key": "session_1"}
    del node["session_id"], node["cell_id"]
    nodes = [
        {**node, "node_id": "node_leaf", "level": 1, "fact_ids": ["fact_old", "fact_new"],
         "child_ids": ["leaf_1", "leaf_2"]},
        {**node, "node_id": "node_root", "level": 2, "child_ids": ["node_leaf"]},
    ]  # fmt: skip
    said = messages("c1", {"m1": "Rome it is", "m2": "off to Oslo", "m3": "home, Oslo"})
    index = said.schema.get_field_index("session_id")
    said = said.set_column(index, said.schema.field(index), [["session_1"] * 3])
    c1 = {"conversation_id": "c1"}
    rows = {
        "messages": said,
        "sessions": make_rows("sessions", [{**c1, "session_id": "session_1"}]),
        "cells": make_rows(
            "cells", [{**scope, "message_ids": ["m1", "m2"]}]
        ),
        "facts": make_rows(
            "facts",
            [{**scope, **f, "event_time": START + timedelta(i)} for i, f in enumerate(facts)],
        ),
        "memtree_nodes": make_rows("memtree_nodes", nodes),
        "entities": make_rows("entities", [{**c1, "entity_id": "entity_1"}]),
        "mentions": make_rows("mentions", [{**c1, "entity_id": "entity_1", "fact_id": "fact_old"}]),
        "links": make_rows(
            "links",
            [{**c1, "link_id": "link_1", "source_id": "fact_new", "target_id": "fact_old"},
             {**c1, "link_id": "link_sessions", "type": "associated", "source_id": "session_1",
              "target_id": "session_0"},
             {**c1, "link_id": "link_split", "type": "split_from", "source_id": "scene_1",
              "target_id": "scene_0"}],
        ),
        "artifacts": make_rows(
            "artifacts",
            [{**c1, "artifact_id": "artifact_1", "step": "embed",
              "input_hash": content_hash("text", "Ana lives in Oslo")}],
        ),
        "episodes": make_rows(
            "episodes",
            [{**c1, "episode_id": "episode_1", "session_id": "session_1", "title": "Moving",
              "content": "Ana moved.", "source_message_ids": ["m1", "m2"]}],
        ),
        "scenes": make_rows(
            "scenes", [{**c1, "scene_id": "scene_1", "title": "Homes", "summary": "Ana moves."}]
        ),
        "scene_members": make_rows(
            "scene_members",
            [{**c1, "scene_id": "scene_1", "memory_id": "fact_new", "status": "member",
              "weight": 1.0},
             {**c1, "scene_id": "scene_1", "memory_id": "fact_old", "status": "demoted",
              "weight": 0.25, "reason": "denies home_city Oslo", "part": 2}],
        ),
        "personas": make_rows(
            "personas",
            [{**c1, "persona_id": "persona_1", "person": "Ana", "kind": "attribute",
              "attribute": "home_city", "value": "Oslo", "evidence": ["fact_new", "fact_same"],
              "status": "current", "support": 2, "confidence": 0.75, "stability": 0.5}],
        ),
        "stamps": make_rows("stamps", [{**c1, "key": "session_1", "step": "extract"}]),
    }  # fmt: skip
    run = make_rows("runs", [{"run_id": "run_1", "started_at": datetime.now(UTC)}])
    changes = [ChangeSet(name, inserts=table) for name, table in rows.items()]
    commit(warehouse, changes, [upsert("runs", run)])
    return warehouse


def test_fact(filled: Warehouse) -> None:
    (found,) = why(filled, "fact_new")
    assert [m["message_id"] for m in found.messages] == ["m2", "m3"]
    assert [d["fact_id"] for d in found.duplicates] == ["fact_same"]
    assert [s["fact_id"] for s in found.supersedes] == ["fact_old"]
    assert [a["artifact_id"] for a in found.model_calls] == ["artifact_1"]
    assert [s["step"] for s in found.steps] == ["extract"]
    assert [k["link_id"] for k in found.links] == ["link_1"]
    assert found.run is not None
    assert found.run["run_id"] == "run_1"
    assert found.snapshot is not None
    assert found.snapshot["snapshot_id"] == filled.current_snapshot()
    assert json.loads(found.to_json())["messages"][0]["text"] == "off to Oslo"
    text = render([found])
    for part in ("off to Oslo", "duplicates merged into it", "fact_old", "run_1", "embed"):
        assert part in text
    (old,) = why(filled, "fact_old")
    assert old.superseded_by is not None
    assert old.messages[0]["spans"] == [[0, 4]]
    (same,) = why(filled, "fact_same")
    assert same.canonical is not None


@pytest.mark.slow  # A warehouse each.
@pytest.mark.parametrize(
    ("memory", "sources"),
    [
        ("session_1", ["m1", "m2", "m3"]),
        ("cell_1", ["m1", "m2"]),
        ("node_leaf", ["m1", "m2", "m3"]),
        ("node_root", ["m1", "m2", "m3"]),
        ("entity_1", ["m1"]),
        ("link_1", ["m1", "m2", "m3"]),
        ("link_sessions", ["m1", "m2", "m3"]),
        ("link_split", ["m1", "m2", "m3"]),
        ("episode_1", ["m1", "m2"]),
        ("scene_1", ["m1", "m2", "m3"]),
        ("persona_1", ["m2", "m3"]),
        ("artifact_1", ["m2"]),
        ("m1", ["m1"]),
    ],
)
def test_every_kind_leads_to_messages(filled: Warehouse, memory: str, sources: list[str]) -> None:
    (found,) = why(filled, memory)
    assert [m["message_id"] for m in found.messages] == sources
    assert memory in render([found])
    json.loads(found.to_json())


def test_scene_shows_its_members_and_where_it_came_from(filled: Warehouse) -> None:
    (found,) = why(filled, "scene_1")
    assert [(m["memory_id"], m["status"]) for m in found.members] == [
        ("fact_old", "demoted"),
        ("fact_new", "member"),
    ]
    text = render([found])
    for part in (
        *("Homes", "Ana moves.", "[1.0] fact_new Ana lives in Oslo"),
        "[0.25, demoted, part 2: denies home_city Oslo] fact_old Ana lives in Rome",
        "split_from scene_1 -> scene_0",
    ):
        assert part in text
    with pytest.raises(UnknownIdError, match="It was a scene, and lives on in scene_1"):
        why(filled, "scene_0")


def test_persona_shows_its_evidence(filled: Warehouse) -> None:
    (found,) = why(filled, "persona_1")
    assert [m["text"] for m in found.messages] == ["off to Oslo", "home, Oslo"]
    text = render([found])
    assert "Ana: home_city Oslo (current attribute, confidence 0.75" in text


def test_fact_shows_what_rests_on_it(filled: Warehouse) -> None:
    for fact in ("fact_new", "fact_same"):
        (found,) = why(filled, fact)
        assert [s["scene_id"] for s in found.scenes] == ["scene_1"]
        assert [p["persona_id"] for p in found.personas] == ["persona_1"]
        assert "[1.0] scene_1 Homes" in render([found])
        assert "persona_1 Ana: home_city Oslo" in render([found])
    (old,) = why(filled, "fact_old")
    assert old.personas == []
    assert old.scenes[0]["reason"] == "denies home_city Oslo"


def test_episode_is_told(filled: Warehouse) -> None:
    (found,) = why(filled, "episode_1")
    assert "  Moving\n  Ana moved." in render([found])


def test_message_id_in_two_conversations(filled: Warehouse) -> None:
    commit(filled, [ChangeSet("messages", inserts=messages("c2", {"m1": "else"}))])
    assert {e.conversation_id for e in why(filled, "m1")} == {"c1", "c2"}
    assert [e.conversation_id for e in why(filled, "m1", conversation="c2")] == ["c2"]


def test_unknown_id(filled: Warehouse) -> None:
    with pytest.raises(UnknownIdError, match=r"fact_nex.*Did you mean fact_new"):
        why(filled, "fact_nex")
    with pytest.raises(UnknownIdError, match="in conversation 'c9'"):
        why(filled, "fact_neither", conversation="c9")


def test_id_of_another_conversation_says_of_which(filled: Warehouse) -> None:
    with pytest.raises(UnknownIdError) as caught:
        why(filled, "fact_new", conversation="c9")
    assert str(caught.value) == "'fact_new' is not in conversation 'c9'; it is in 'c1'."
    with pytest.raises(UnknownIdError, match="No memory has the id"):  # Nothing of other tenants.
        why(filled, "fact_new", conversation="c9", tenant="other")


def test_hashes_are_suggested_only_for_what_is_left_of_them(warehouse: Warehouse) -> None:
    known = [content_id("fact", number) for number in range(50)]
    rows = make_rows("facts", [{"conversation_id": "c1", "fact_id": fact} for fact in known])
    commit(warehouse, [ChangeSet("facts", inserts=rows)])
    for given, meant in ((known[7][:12], known[7]), (known[7][:-2] + "zz", known[7])):
        with pytest.raises(UnknownIdError, match=f"Did you mean {meant}\\?"):
            why(warehouse, given)
    for given in ("fact_nope", content_id("fact", "none of them"), "fact_"):
        with pytest.raises(UnknownIdError) as caught:
            why(warehouse, given)
        assert "Did you mean" not in str(caught.value)


CALL = "call_1"


@pytest.fixture
def told(filled: Warehouse) -> Warehouse:
    """The same memory, told by a language model."""
    call = {"conversation_id": "c1", "status": "ok", "model_id": "openai:m", "tokens_in": 90}
    s1 = {**call, "session_id": "session_1"}
    calls = [
        {**s1, "artifact_id": CALL, "step": "extract", "prompt": "extract_facts@1:aa",
         "output": '{"facts": [{"text": "Zo\\u00eb likes tea"}]}'},
        {**s1, "artifact_id": "call_2", "step": "extract", "prompt": "extract_facts@1:aa",
         "output": "{}", "status": "truncated"},
        {**s1, "artifact_id": "call_3", "step": "verdicts", "prompt": "judge_pairs@1:bb",
         "output": '{"verdicts": ["same"]}'},
        {**call, "artifact_id": "call_4", "step": "reflect", "prompt": "reflect@1:cc",
         "output": "{}"},
    ]  # fmt: skip
    fact = {
        **{"conversation_id": "c1", "session_id": "session_1", "cell_id": "cell_1"},
        **{"message_id": "m1", "source_message_ids": ["m1"], "extractor": "llm_facts"},
        "event_time": START,
    }
    facts = [
        {**fact, "fact_id": "fact_exact", "text": "Zoë likes tea", "doubt": "denies coffee"},
        {**fact, "fact_id": "fact_dated", "text": "Zoë came on 2024-05-01"},
        {**fact, "fact_id": "fact_ruled", "text": "Zoë likes tea", "extractor": "rule_facts"},
    ]
    link = {"conversation_id": "c1", "source_id": "fact_exact", "target_id": "fact_old"}
    links = [
        {**link, "link_id": "link_model", "method": "model"},
        {**link, "link_id": "link_cosine", "method": "cosine"},
    ]
    rows = {"artifacts": calls, "facts": facts, "links": links}
    commit(filled, [ChangeSet(name, inserts=make_rows(name, new)) for name, new in rows.items()])
    return filled


@pytest.mark.parametrize(
    ("memory", "calls"),
    [
        ("fact_exact", [CALL, "call_4"]),  # By its words; and what made it doubted.
        ("fact_dated", [CALL, "call_2"]),  # The rules dated it: all calls of the session.
        ("fact_ruled", []),
        ("link_model", ["call_3"]),
        ("link_cosine", []),
    ],
)
def test_what_a_language_model_told_leads_to_its_calls(
    told: Warehouse, memory: str, calls: list[str]
) -> None:
    (found,) = why(told, memory)
    assert [call["artifact_id"] for call in found.model_calls] == calls


def test_a_call_of_a_language_model(told: Warehouse) -> None:
    (found,) = why(told, CALL)
    assert [m["message_id"] for m in found.messages] == ["m1"]
    text = render([found])
    assert "extract: openai:m, prompt extract_facts@1:aa, 90 tokens in" in text
    assert "likes tea" in text
    # A call that told no fact is still of its session.
    (other,) = why(told, "call_2")
    assert [m["message_id"] for m in other.messages] == ["m1", "m2", "m3"]
    assert "prompt extract_facts@1:aa, truncated" in render([other])
    with pytest.raises(UnknownIdError, match="Did you mean call_"):
        why(told, "call_9")
