import random
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from operators.recall.conversation_index import SEARCHED, Question
from operators.recall.fusion import FEATURES
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
        mixed = Searcher({name: shuffled(t, seed) for name, t in tables().items()})
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
    assert set(first.channels) == {"words", "entity", "speaker", "time", "shape"}


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
