"""Episodes: what a session is retold as."""

import pytest

from operators.episodes.extractive_episodes import ExtractiveEpisodes
from schemas.ids import content_id
from tests.operators.samples import HashModels, at, fact, shuffled, table


def session(session_id: str = "s", start: float = 0, end: float = 60, **more):
    row = {
        "tenant": "default",
        "conversation_id": "c",
        "session_id": session_id,
        "content_hash": session_id,
        "start_time": at(start),
        "end_time": at(end),
        "message_count": 3,
        "speakers": ["Ben", "Nora"],
        "first_message_id": "a",
        "last_message_id": "z",
        "given_session_id": None,
    }
    return row | more


FACTS = [
    fact("a", 1, "Nora: Hi Ben! What is new?", speaker="Nora", importance=0.12),
    fact("b", 2, "Ben found a flat in Lisbon with a pottery studio next door.", speaker="Ben"),
    fact("c", 3, "Nora loves the pottery class in Lisbon.", speaker="Nora"),
    fact("d", 4, "Ben: The rent of the flat is 900 euros.", speaker="Ben"),
    fact("e", 5, "Nora: Good luck with everything!", speaker="Nora"),
    fact("f", 6, "Nora: Nora wants to see the flat in Lisbon in May.", speaker="Nora"),
]


def episodes(facts, sessions, **parameters):
    tables = {"facts": table("facts", facts), "sessions": table("sessions", sessions)}
    return ExtractiveEpisodes(**parameters).run(tables, HashModels()).tables["episodes"].to_pylist()


def test_title_names_who_says_most_first_and_what_it_is_about():
    (row,) = episodes(FACTS, [session()])
    assert row["title"].startswith("Nora and Ben: ")
    assert {"Lisbon", "flat"} <= set(row["keywords"][:3])
    assert "Lisbon" in row["title"]
    assert row["episode_id"] == content_id("episode", "default", "c", "s")
    assert (row["start_time"], row["end_time"]) == (at(0), at(60))


def test_content_is_the_most_shared_statements_in_event_order():
    (row,) = episodes(FACTS, [session()], max_chars=120)
    assert len(row["content"]) <= 120
    assert "Good luck" not in row["content"]
    texts = {f["message_id"]: f["text"] for f in FACTS}
    assert row["content"] == " ".join(texts[name] for name in row["source_message_ids"])
    assert row["source_message_ids"] == sorted(row["source_message_ids"])


def test_a_supporting_message_stands_before_its_answer():
    asked = fact("q2", 2, "Asked about the flat: 900 euros rent, in Lisbon.", speaker="Ben")
    asked["source_message_ids"] = ["q2", "q1"]
    (row,) = episodes([asked], [session()])
    assert row["source_message_ids"] == ["q1", "q2"]


def test_a_statement_longer_than_the_limit_is_cut():
    (row,) = episodes([fact("a", 1, "harbour lantern " * 20)], [session()], max_chars=80)
    assert row["content"].endswith("…")
    assert len(row["content"]) <= 80
    assert row["source_message_ids"] == ["a"]


def test_speakers_that_are_roles_are_not_named():
    rows = [
        fact("a", 1, "User wants a ferry to Split.", speaker="user"),
        fact("b", 2, "The ferry to Split leaves at noon.", speaker="assistant"),
    ]
    (row,) = episodes(rows, [session()])
    assert row["title"] == "Split, ferry"
    assert row["keywords"] == ["Split", "ferry"]


def test_without_keywords_the_title_begins_the_content():
    (row,) = episodes([fact("a", 1, "Ann: Thanks, really!")], [session()])
    assert row["title"] == "Ann: Thanks, really!"
    assert row["keywords"] == []


def test_many_speakers_are_counted():
    rows = [fact(name, 1, f"{name} likes tea.", speaker=name) for name in "ABCDE"]
    (row,) = episodes(rows, [session()])
    assert row["title"] == "A, B and 3 others: tea"


def test_another_session_changes_no_episode():
    (alone,) = episodes(FACTS, [session()])
    later = [fact(f"l{i}", 900 + i, "Lisbon flat pottery.", session_id="t") for i in range(5)]
    rows = episodes(FACTS + later, [session(), session("t", 900, 990)])
    assert [row for row in rows if row["session_id"] == "s"] == [alone]


def test_a_session_without_facts_has_no_episode_and_order_does_not_matter():
    facts, sessions = table("facts", FACTS), table("sessions", [session(), session("empty")])
    operator = ExtractiveEpisodes()
    made = [
        operator.run({"facts": rows, "sessions": sessions}, HashModels()).tables["episodes"]
        for rows in (facts, shuffled(facts, 3))
    ]
    assert made[0].num_rows == 1
    assert made[0].equals(made[1])


def test_facts_of_an_unknown_session_are_refused():
    with pytest.raises(ValueError, match="not in the table sessions"):
        episodes(FACTS, [session("other")])
