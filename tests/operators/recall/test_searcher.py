import random
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from operators.recall.conversation_index import SEARCHED, Question
from operators.recall.fusion import CHANNELS, CHANNELS_OF, FEATURES, OFF_BY_DEFAULT
from operators.recall.searcher import Result, Searcher
from schemas.tables import TABLES
from tests.operators.samples import at, embeddings, fact, message, shuffled, table, word_vector

TALK = [
    ("m1", "Ann", "Hello there!"),
    ("m2", "Bob", "Which instrument did you pick?"),
    ("m3", "Ann", "I bought a violin in the harbour shop yesterday."),
    ("m4", "Bob", "Lovely. My boat needs paint again."),
    ("m5", "Ann", "The violin shop closes in winter."),
]


def tables(**changes: dict[str, Any]) -> dict[str, pa.Table]:
    messages = [
        message(key, n, who, text, session_id="s1") for n, (key, who, text) in enumerate(TALK)
    ]
    facts = [fact(k, n, t, speaker=s) for n, (k, s, t) in enumerate(TALK) if k != "m1"]
    facts = [f | changes.get(f["message_id"], {}) for f in facts]
    rows = table("facts", facts)
    ids = {"tenant": "default", "conversation_id": "c", "entity_id": "shop"}
    seen = {"first_seen": at(2), "last_seen": at(2), "mention_count": 1, "session_count": 1}
    shop = ids | seen | {"name": "Harbour Shop", "kind": "name", "aliases": ["Harbour Shop"]}
    named = {"fact_id": "f", "message_id": "m3", "surface": "harbour shop", "event_time": at(2)}
    return {
        **{name: TABLES[name].empty() for name in SEARCHED},
        "messages": table("messages", messages),
        "facts": rows,
        "embeddings": embeddings(rows),
        "entities": table("entities", [shop]),
        "mentions": table("mentions", [ids | named]),
    }


def ask(text: str, asked_at: datetime | None = None) -> Question:
    return Question(text, word_vector(text), asked_at)


def ids(results: list[Result]) -> list[str]:
    return [r.source_message_ids[0] for r in results]


def test_best_message_first_with_its_fact() -> None:
    first, *_ = results = Searcher(tables()).search(ask("Where did Ann buy a violin?"), k=5)
    assert first.source_message_ids == ["m3"]
    assert (first.kind, first.text) == ("fact", TALK[2][2])
    assert [r.rank for r in results] == [1, 2, 3, 4, 5]
    assert [r.score for r in results] == sorted((r.score for r in results), reverse=True)
    assert sorted(ids(results)) == [m[0] for m in TALK]
    assert first.score == pytest.approx(sum(first.channels.values()), abs=1e-3)


def test_message_without_a_fact_is_shown_itself() -> None:
    results = Searcher(tables()).search(ask("Hello"), k=5)
    (greeting,) = [r for r in results if r.source_message_ids[0] == "m1"]
    assert (greeting.kind, greeting.id, greeting.text) == ("message", "m1", TALK[0][2])


def test_order_of_rows_does_not_matter() -> None:
    questions = [ask("violin shop"), ask("When does the shop close?"), ask("boat")]
    plain = Searcher(tables())
    for seed in range(3):
        mixed = Searcher({n: shuffled(t, seed) if len(t) else t for n, t in tables().items()})
        for question in random.Random(seed).sample(questions, 3):
            assert mixed.search(question) == plain.search(question)


def test_duplicate_shows_what_stands_for_it() -> None:
    standing = fact("m3", 0)["fact_id"]
    duplicate = {"status": "duplicate", "canonical_id": standing}
    results = Searcher(tables(m5=duplicate)).search(ask("violin shop in winter"), k=5)
    by_message = {r.source_message_ids[0]: r for r in results}
    assert by_message["m5"].id == standing
    assert by_message["m5"].source_message_ids == ["m5", "m3"]
    assert by_message["m3"].source_message_ids == ["m3", "m5"]


def test_as_of_leaves_out_what_came_later() -> None:
    results = Searcher(tables(), as_of=at(2.5)).search(ask("violin"), k=9)
    assert sorted(ids(results)) == ["m1", "m2", "m3"]


def test_as_of_judges_validity_as_it_stood() -> None:
    ended = {"status": "superseded", "valid_from": at(2), "valid_to": at(4)}
    now = Searcher(tables(m3=ended)).search(ask("violin"), k=5)
    then = Searcher(tables(m3=ended), as_of=at(3)).search(ask("violin"), k=5)
    assert {r.kind for r in now if r.source_message_ids[0] == "m3"} == {"message"}
    assert {r.kind for r in then if r.source_message_ids[0] == "m3"} == {"fact"}


def test_old_versions_are_not_found() -> None:
    found = tables()
    messages = found["messages"]
    current = pa.array([m != "m4" for m in messages["message_id"].to_pylist()])
    column = messages.schema.get_field_index("is_current")
    found["messages"] = messages.set_column(column, "is_current", current)
    assert "m4" not in ids(Searcher(found).search(ask("boat"), k=9))


def test_channels_can_be_left_out() -> None:
    searcher = Searcher(tables())
    (first, *_) = searcher.search(ask("violin"), without={"dense", "neighbours"})
    assert set(first.channels) == CHANNELS_OF["default"] - {"dense", "neighbours"}


def test_missing_vectors_and_empty_question() -> None:
    kept = {"messages", "facts"}
    searcher = Searcher({n: t if n in kept else t.slice(0, 0) for n, t in tables().items()})
    assert ids(searcher.search(ask("boat paint"), k=1)) == ["m4"]
    assert len(searcher.search(Question("", np.zeros(16, np.float32)), k=2)) == 2


def test_nothing_to_search() -> None:
    empty = Searcher({name: rows.slice(0, 0) for name, rows in tables().items()})
    assert empty.search(ask("violin")) == []
    assert Searcher(tables()).search(ask("violin"), k=0) == []


def test_entity_channel_speaks_for_the_message_that_mentions_it() -> None:
    only = dict.fromkeys(FEATURES, (0.0, 0.0)) | {"entity": (1.0, 1.0)}
    searcher = Searcher(tables(), weights=only)
    (first, second) = searcher.search(ask("Who runs the harbour shop?"), k=2)
    assert first.source_message_ids == ["m3"]
    assert (first.channels["entity"], second.channels["entity"]) == (1.0, 0.0)
    (other, *_) = searcher.search(ask("Who runs the harbour?"))
    assert other.channels["entity"] == 0.0
    (without, *_) = searcher.search(ask("Who runs the harbour shop?"), without={"entity"})
    assert "entity" not in without.channels
    assert without.score == 0.0


def levels() -> dict[str, pa.Table]:
    """The tables of `tables`, with a scene, an association, a persona, a tree, an episode."""
    f3, f4, f5 = (fact(key, 0)["fact_id"] for key in ("m3", "m4", "m5"))
    scope = {"tenant": "default", "conversation_id": "c"}
    span = {"start_time": at(2), "end_time": at(4)}
    scene = {"scene_id": "s", "title": "Violin", "summary": "A shop.", "keywords": ["instrument"]}
    size = {"people": ["Ann"], "member_count": 2, "session_count": 1, "salience": 0.5}
    members = [
        {"scene_id": "s", "memory_id": i, "weight": w, "status": "member", "part": 0}
        for i, w in ((f3, 0.9), (f5, 0.6), ("gone", 0.6))
    ]
    ends = {"source_id": f4, "target_id": f3, "score": 0.6}
    link = {"link_id": "l", "type": "associated", "method": "gmm", "step": "associate"}
    likes = {"kind": "preference", "attribute": "likes", "value": "violins", "evidence": [f3]}
    about = {"persona_id": "p", "person": "Ann"}
    judged = {"support": 1, "confidence": 0.8, "stability": 0.1, "status": "current"}
    node = {"tree_id": "t", "node_id": "n", "level": 1, "is_root": True, "is_closed": False}
    leaves = {"child_ids": ["a", "b"], "fact_ids": [f3, "gone"], "leaf_count": 2}
    told = {"summary": "", "summarizer": "x", "scope_type": "session", "scope_key": "s1"}
    episode = {"episode_id": "e", "session_id": "s1", "title": "", "content": ""}
    sources = {"keywords": ["violin"], "source_message_ids": ["m3", "gone"]}
    return tables() | {
        "scenes": table("scenes", [scope | span | scene | size]),
        "scene_members": table("scene_members", [scope | m for m in members]),
        "links": table("links", [scope | ends | link]),
        "personas": table("personas", [scope | likes | judged | about]),
        "memtree_nodes": table("memtree_nodes", [scope | span | node | leaves | told]),
        "episodes": table("episodes", [scope | span | episode | sources]),
    }


@pytest.mark.parametrize(
    ("feature", "found"),
    [
        ("scene_word", {"m3", "m5"}),
        ("walk", {"m2", "m3", "m4"}),
        ("spread", {"m3", "m5"}),
        ("persona", {"m3"}),
        ("tree", {"m3"}),
        ("keywords", {"m1", "m2", "m3", "m4", "m5"}),
    ],
)
def test_levels_find_messages(feature: str, found: set[str]) -> None:
    searcher = Searcher(levels())
    read = searcher.index.read(ask("Would Ann like a violin bought in the harbour shop yesterday?"))
    values = searcher.features(read, CHANNELS)[feature]
    messages = searcher.index.messages
    assert found <= {m["message_id"] for m, v in zip(messages, values, strict=True) if v > 0}
    plain = Searcher(tables())
    if feature != "walk":  # neighbours are linked in any case
        without = plain.features(plain.index.read(ask("violin")), CHANNELS)[feature]
        assert not without.any()


def test_every_channel_on_and_one_at_a_time() -> None:
    searcher = Searcher(levels())
    question = ask("Which violin does Ann like?")
    (first, *_) = searcher.search(question, also=OFF_BY_DEFAULT)
    assert set(first.channels) == set(CHANNELS)
    assert set(searcher.search(question)[0].channels) == CHANNELS_OF["default"]
    for channel in CHANNELS:
        (first, *_) = searcher.search(question, without={channel}, also=OFF_BY_DEFAULT)
        assert set(first.channels) == set(CHANNELS) - {channel}


def test_order_of_rows_does_not_matter_to_the_levels() -> None:
    question = ask("Which violin does Ann like?")
    plain = Searcher(levels()).search(question, also=OFF_BY_DEFAULT)
    for seed in range(3):
        mixed = {n: shuffled(t, seed) if len(t) else t for n, t in levels().items()}
        assert Searcher(mixed).search(question, also=OFF_BY_DEFAULT) == plain
