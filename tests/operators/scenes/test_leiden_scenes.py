import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.scenes import LeidenScenes
from schemas.ids import content_id
from tests.effort import examples
from tests.operators.samples import HashModels, fact, table
from tests.operators.scenes.talks import TOPICS, associated, link, members, said, scenes

REPO = Path(__file__).resolve().parents[3]


def talk(sessions: int, topics=("boat", "oven"), each: int = 3):
    return [
        said(10 * at + n, topic, session)
        for session in range(sessions)
        for at, topic in enumerate(topics)
        for n in range(each)
    ]


def test_two_topics_over_some_sessions_are_two_scenes():
    rows = talk(4)
    found, of, links = scenes(rows)
    assert len(found) == 2
    assert links == []
    grouped = members(of)
    for topic in ("boat", "oven"):
        mine = [row["fact_id"] for row in rows if row["message_id"].startswith(topic)]
        scene_id = content_id("scene", "default", "c", mine[0])
        assert grouped[scene_id] == set(mine), "named after its first member"
        (row,) = (row for row in found if row["scene_id"] == scene_id)
        assert (row["member_count"], row["session_count"]) == (12, 4)
        assert row["people"] == ["Ann"]
        assert set(row["keywords"]) & set(TOPICS[topic].split())
        assert row["title"].startswith("Ann: ")
        assert len(row["summary"]) <= 320
        assert row["salience"] == round(0.35 * 12 / 22 + 0.35 * 4 / 7 + 0.3 * 0.5, 4)
    assert all(0 < row["weight"] <= 1 for row in of)
    assert {(row["status"], row["part"], row["reason"]) for row in of} == {("member", 0, None)}
    best = {row["scene_id"]: max(r["weight"] for r in of) for row in of}
    assert set(best.values()) == {1.0}


@st.composite
def logs(draw):
    """Facts on random topics in random sessions, some of them duplicates or empty talk."""
    size = draw(st.integers(0, 40))
    rows = []
    for number in range(size):
        row = said(
            number,
            draw(st.sampled_from(sorted(TOPICS))),
            draw(st.integers(0, 5)),
            conversation_id=draw(st.sampled_from("cd")),
            status=draw(st.sampled_from(["active", "active", "superseded", "duplicate"])),
        )
        text = draw(st.sampled_from([row["text"], row["text"], "Ann: Ha!", "Ann: The boat?"]))
        rows.append(row | {"text": text})
    return rows


@examples(40)
@given(logs(), st.randoms(), st.integers(3, 12))
def test_any_order_of_rows_gives_the_same_scenes_and_each_fact_has_one(rows, rng, most):
    links = associated(rows)
    expected = scenes(rows, links, max_members=most)
    found, of, lineage = expected
    mixed, mixed_links = list(rows), list(links)
    rng.shuffle(mixed)
    rng.shuffle(mixed_links)
    assert scenes(mixed, mixed_links, max_members=most) == expected

    kept = {row["fact_id"]: row for row in rows if row["status"] != "duplicate"}
    assert len({row["memory_id"] for row in of}) == len(of), "no fact is in two scenes"
    assert {row["scene_id"] for row in of} == {row["scene_id"] for row in found}
    assert len({row["scene_id"] for row in found}) == len(found)
    for row in of:
        assert row["conversation_id"] == kept[row["memory_id"]]["conversation_id"]
    for row in found:
        nodes = [r["memory_id"] for r in of if r["scene_id"] == row["scene_id"]]
        times = [kept[fact_id]["event_time"] for fact_id in nodes]
        assert 3 <= row["member_count"] == len(nodes) <= most
        assert (row["start_time"], row["end_time"]) == (min(times), max(times))
    ids = {row["scene_id"] for row in found}
    assert all(row["source_id"] in ids for row in lineage)
    assert all((row["type"] == "split_from") == (row["target_id"] in ids) for row in lineage)


@examples(15)
@given(st.lists(st.sampled_from(["boat", "oven", "kite"]), min_size=4, max_size=9))
def test_ids_and_members_survive_new_sessions(topics):
    rows, before = [], {}
    for session, topic in enumerate(topics):
        rows += [said(n, topic, session) for n in range(4)]
        now = members(scenes(rows)[1])
        assert before.keys() <= now.keys()
        assert all(before[scene_id] <= now[scene_id] for scene_id in before)
        before = now


def test_a_late_session_gives_what_an_in_order_run_gives():
    rows = talk(5, ("boat", "oven", "kite"))
    late = [row for row in rows if row["session_id"] == "s001"]
    others = [row for row in rows if row["session_id"] != "s001"]
    assert scenes([*others, *late]) == scenes(rows)


def test_what_is_in_no_scene():
    rows = talk(2)
    odd = {
        "empty": said(40, "boat", 1) | {"text": "Ann: Ha!"},
        "duplicate": said(41, "boat", 1, status="duplicate", canonical_id=rows[0]["fact_id"]),
        "alone": fact("other", 9000, "Ann paid the parking fine in Bergen.", session_id="s9"),
    }
    of = {row["memory_id"] for row in scenes([*rows, *odd.values()])[1]}
    assert of == {row["fact_id"] for row in rows}


def test_neighbours_without_a_common_theme_are_no_scene():
    lines = ("paid a parking fine", "heard seventeen noisy owls", "burnt green beeswax candles")
    rows = [fact(f"m{n}", n, f"Ann {line} yesterday.") for n, line in enumerate(lines)]
    assert scenes(rows, [], resolution=0.001) == [[], [], []]
    assert len(scenes(rows, [], resolution=0.001, min_cohesion=0)[0]) == 1
    related = [link(rows[1], rows[0], "extends"), link(rows[2], rows[1], "causes")]
    assert len(scenes(rows, related)[0]) == 1, "a relation is a theme"
    same = [row | {"type": "same"} for row in related]
    assert scenes(rows, same) == [[], [], []]


def test_a_reply_goes_with_what_it_answers_and_not_into_the_summary():
    rows = talk(1)
    reply = fact("reply", 2.5, "Ben: The pennant?", speaker="Ben", session_id="s000")
    rows.append(reply | {"cell_id": rows[2]["cell_id"]})
    found, of, _ = scenes(rows)
    grouped = members(of)
    (home,) = (scene_id for scene_id in grouped if reply["fact_id"] in grouped[scene_id])
    assert rows[0]["fact_id"] in grouped[home]
    (row,) = (row for row in found if row["scene_id"] == home)
    assert "pennant" not in row["summary"]
    assert row["people"] == ["Ann", "Ben"]


def test_links_between_sessions_and_to_what_is_gone_are_passed_over():
    rows = talk(2)
    links = associated(rows)
    foreign = link({**rows[0], "fact_id": "s001"}, {"fact_id": "s000"})
    gone = link(rows[-1], {"fact_id": "fact_gone"})
    assert scenes(rows, [*links, foreign, gone]) == scenes(rows, links)


def test_an_assistant_is_not_among_the_people():
    rows = [
        row | ({"speaker": "Helper", "role": "assistant"} if n % 2 else {})
        for n, row in enumerate(talk(2, ("boat",)))
    ]
    rows[0] |= {"subject": "Zoe's", "attribute": "car", "value": "van", "entities": ["Zoe"]}
    (row,) = scenes(rows)[0]
    assert row["people"] == ["Ann", "Zoe"]


def test_large_communities_are_divided():
    rows = talk(6, ("boat",), each=10)
    assert max(row["member_count"] for row in scenes(rows, max_members=60)[0]) > 12
    found, of, _ = scenes(rows, max_members=12)
    assert {row["member_count"] for row in found} <= set(range(3, 13))
    assert len(of) > 40, "few are lost"


def test_the_titles_are_part_of_the_configuration():
    short = LeidenScenes.model_validate({"titles": {"kind": "extractive", "max_chars": 60}})
    assert short.fingerprint() != LeidenScenes().fingerprint()
    with pytest.raises(ValueError, match="kind"):
        LeidenScenes.model_validate({"titles": {"kind": "poetic"}})
    found, *_ = scenes(talk(3), titles={"kind": "extractive", "max_chars": 60, "max_keywords": 2})
    assert all(len(row["summary"]) <= 60 and len(row["keywords"]) == 2 for row in found)


SCRIPT = """
import json
from tests.operators.scenes.test_leiden_scenes import talk
from tests.operators.scenes.talks import scenes
print(json.dumps(scenes(talk(7, ("boat", "oven", "kite")), max_members=9), default=str))
"""


@pytest.mark.slow
def test_every_process_finds_the_same():
    def run(seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(REPO)}
        command = [sys.executable, "-c", SCRIPT]
        done = subprocess.run(
            command, cwd=REPO, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout

    assert run("1") == run("2")


def test_fifteen_hundred_facts_take_a_second_at_most():
    rows = talk(50, tuple(TOPICS), each=8)[:1500]
    tables = {"facts": table("facts", rows), "links": table("links", associated(rows))}
    start = time.process_time()
    LeidenScenes().run(tables, HashModels())
    assert time.process_time() - start < 1.5, "several times the usual, for busy machines"
