"""Associations of facts and sessions."""

import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.associations.gmm_associations import GmmAssociations
from operators.episodes.extractive_episodes import ExtractiveEpisodes
from tests.effort import examples
from tests.operators.samples import HashModels, at, embeddings, fact, shuffled, table

TOPICS = ["pottery kiln glaze clay", "ferry harbour island boat", "guitar chord stage song"]


def statement(topic: int, rng: random.Random) -> str:
    words = TOPICS[topic].split()
    rng.shuffle(words)
    return f"Ann {' '.join(words)} {rng.choice(['again', 'twice', 'slowly'])} {rng.randrange(99)}."


def talk(topics: list[int], seed: int = 1, per_session: int = 6) -> list[dict[str, Any]]:
    """A fact a minute, its topic as given; a session has some of them."""
    rng = random.Random(seed)
    return [
        fact(
            f"m{at:04}",
            at,
            statement(topic, rng),
            session_id=f"s{at // per_session:03}",
            cell_id=f"cell{at // 2}",
        )
        for at, topic in enumerate(topics)
    ]


def topic_vector(text: str) -> Any:
    """Close for one topic, apart for two, and shared words in common."""
    rng = np.random.default_rng(sum(text.encode()))
    vector = rng.normal(scale=0.12, size=16)
    vector[15] += 0.6
    for number, words in enumerate(TOPICS):
        vector[number] += words.split()[0] in text
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def inputs(facts: list[dict[str, Any]]) -> dict[str, pa.Table]:
    rows = table("facts", facts)
    starts: dict[str, int] = {}
    for row in facts:
        starts.setdefault(row["session_id"], len(starts))
    sessions = [
        {
            "tenant": "default",
            "conversation_id": "c",
            "session_id": name,
            "content_hash": name,
            "start_time": at(number),
            "end_time": at(number),
            "message_count": 1,
            "speakers": ["Ann"],
            "first_message_id": "a",
            "last_message_id": "b",
            "given_session_id": None,
        }
        for name, number in starts.items()
    ]
    episodes = ExtractiveEpisodes().run(
        {"facts": rows, "sessions": table("sessions", sessions)}, HashModels()
    )
    return {"facts": rows, "embeddings": embeddings(rows, topic_vector), **episodes.tables}


def links(tables: dict[str, pa.Table], **parameters: Any) -> list[dict[str, Any]]:
    made = GmmAssociations(**parameters).run(tables, HashModels())
    return made.tables["links"].to_pylist()


def fact_links(made: list[dict[str, Any]], facts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    ids = {row["fact_id"] for row in facts}
    return [link for link in made if link["source_id"] in ids]


TALK = talk([0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 0, 0, 0, 0, 1, 2, 2, 2, 2, 1, 1, 1])


def test_facts_are_linked_within_their_topic():
    by_id = {row["fact_id"]: at for at, row in enumerate(TALK)}
    made = fact_links(links(inputs(TALK)), TALK)
    assert len(made) > len(TALK)
    topic = [next(n for n, w in enumerate(TOPICS) if w.split()[0] in f["text"]) for f in TALK]
    same = [topic[by_id[m["source_id"]]] == topic[by_id[m["target_id"]]] for m in made]
    assert sum(same) >= 0.85 * len(same)


def test_links_lead_from_the_later_to_the_earlier_and_are_bounded():
    by_id = {row["fact_id"]: row for row in TALK}
    made = fact_links(links(inputs(TALK), most_links=2, session_links=1), TALK)
    counts: dict[tuple[str, bool], int] = {}
    for link in made:
        source, target = by_id[link["source_id"]], by_id[link["target_id"]]
        assert source["event_time"] > target["event_time"]
        assert link["score"] == round(link["score"], 4) >= 0.3
        assert (link["type"], link["step"]) == ("associated", "gmm_associations")
        key = source["fact_id"], source["session_id"] == target["session_id"]
        counts[key] = counts.get(key, 0) + 1
    assert all(count <= (1 if within else 2) for (_, within), count in counts.items())


def test_duplicates_take_no_part_as_facts():
    facts = [dict(row) for row in TALK]
    for row in facts[5::6]:
        row |= {"status": "duplicate", "canonical_id": facts[0]["fact_id"]}
    ends = {link[end] for link in links(inputs(facts)) for end in ("source_id", "target_id")}
    assert ends.isdisjoint(row["fact_id"] for row in facts[5::6])


def test_sessions_on_one_topic_are_linked_and_say_by_what():
    topics = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]
    facts = talk(topics, per_session=4)
    made = [m for m in links(inputs(facts), session_floor=0.1) if m["source_id"].startswith("s")]
    pairs = {(m["source_id"], m["target_id"]): m["method"] for m in made}
    assert set(pairs) >= {("s004", "s001"), ("s005", "s002")}
    method = pairs["s005", "s002"]
    assert method.startswith("gmm:")
    parts = method.removeprefix("gmm:").split("+")
    assert {"full", "turns", "summary"} <= set(parts) <= {"full", "keywords", "summary", "turns"}
    assert parts == sorted(parts)


def test_few_earlier_facts_are_judged_by_the_threshold():
    facts = talk([0, 0, 1])
    close = fact_links(links(inputs(facts), threshold=0.6), facts)
    assert {link["method"] for link in close} == {"cosine"}
    assert [(m["source_id"], m["target_id"]) for m in close] == [
        (facts[1]["fact_id"], facts[0]["fact_id"])
    ]
    assert fact_links(links(inputs(facts), threshold=1), facts) == []


def test_a_fact_without_a_vector_is_refused():
    tables = inputs(TALK)
    tables["embeddings"] = tables["embeddings"].slice(1)
    with pytest.raises(ValueError, match="no vector"):
        links(tables)


TOPIC_LISTS = st.lists(st.integers(0, 2), min_size=1, max_size=40)


@examples(15)
@given(TOPIC_LISTS, st.integers(0, 99))
def test_order_of_rows_does_not_matter(topics, seed):
    tables = inputs(talk(topics, seed))
    expected = links(tables)
    mixed = {name: shuffled(rows, seed) for name, rows in tables.items()}
    assert links(mixed) == expected


@examples(15)
@given(TOPIC_LISTS, st.data())
def test_later_facts_change_no_link_between_earlier_ones(topics, data):
    facts = talk(topics, 3)
    size = data.draw(st.integers(0, len(facts)))
    before = fact_links(links(inputs(facts[:size])), facts[:size])
    after = fact_links(links(inputs(facts)), facts[:size])
    assert after == before


@examples(10)
@given(TOPIC_LISTS, TOPIC_LISTS)
def test_another_conversation_in_the_call_changes_nothing(one, two):
    other = [{**row, "conversation_id": "d", "fact_id": "d" + row["fact_id"]} for row in talk(two)]
    tables, more = inputs(talk(one)), inputs(talk(two))
    replaced = {
        name: rows.set_column(
            rows.schema.get_field_index("conversation_id"),
            rows.schema.field("conversation_id"),
            pa.array(["d"] * rows.num_rows),
        )
        for name, rows in more.items()
    }
    replaced["facts"] = table("facts", other)
    both = {name: pa.concat_tables([rows, replaced[name]]) for name, rows in tables.items()}
    mine = [link for link in links(both) if link["conversation_id"] == "c"]
    assert mine == links(tables)
