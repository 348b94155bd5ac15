"""Reflection: what is doubted, demoted or set apart, and what must be left alone."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from operators.personas.rule_personas import RulePersonas
from operators.reflection.persona_reflection import PersonaReflection
from operators.supersession import Supersession
from schemas.ids import content_id
from schemas.tables import TABLES
from tests.effort import examples
from tests.operators.samples import HashModels, at, fact, says, shuffled, table

DAY = 24 * 60


def in_city(key: str, day: float, city: str, text: str = "", **more: Any):
    row = says(key, day * DAY, city, session_id=f"s{key}", **more)
    return row | ({"text": text} if text else {})


def tells(key: str, day: float, text: str, **more: Any):
    return fact(key, day * DAY, text, **{"session_id": f"s{key}"} | more)


def scene(key: str, rows: list[dict[str, Any]], *keywords: str):
    """A scene that holds the given facts, and its members."""
    scene_id = content_id("scene", key)
    made = {
        "tenant": "default", "conversation_id": "c", "scene_id": scene_id, "title": key,
        "summary": key, "keywords": list(keywords), "people": [], "start_time": at(0),
        "end_time": at(9 * DAY), "member_count": len(rows), "session_count": 1, "salience": 0.5,
    }  # fmt: skip
    members = [
        {
            "tenant": "default", "conversation_id": "c", "scene_id": scene_id,
            "memory_id": row["fact_id"], "weight": 0.5, "status": "member", "part": 0,
            "reason": None,
        }
        for row in rows
    ]  # fmt: skip
    return made, members


def inputs(rows: list[dict[str, Any]], scenes: list[Any]) -> dict[str, Any]:
    facts = Supersession().run({"facts": table("facts", rows)}, HashModels()).tables["facts"]
    given = {"facts": facts, "links": table("links", [])}
    return {
        "facts": facts,
        "personas": RulePersonas().run(given, HashModels()).tables["personas"],
        "scenes": table("scenes", [made for made, _ in scenes]),
        "scene_members": table("scene_members", [m for _, members in scenes for m in members]),
    }


def reflect(rows: list[dict[str, Any]], *scenes: Any):
    """Facts by message, members by memory, and links, after reflection."""
    made = PersonaReflection().run(inputs(rows, list(scenes)), HashModels()).tables
    for name, data in made.items():
        assert data.schema.equals(TABLES[name].schema), name
    facts = {row["message_id"]: row for row in made["facts"].to_pylist()}
    members = {row["memory_id"]: row for row in made["scene_members"].to_pylist()}
    return facts, members, made["links"].to_pylist()


LISBON = [in_city(k, d, "Lisbon") for k, d in [("a", 1), ("b", 5), ("c", 9), ("e", 30)]]
PORTO = in_city("d", 20, "Porto")


def test_a_lone_value_against_a_well_supported_one_is_doubted():
    rows = [*LISBON, PORTO]
    facts, members, (link,) = reflect(rows, scene("home", rows, "lisbon"))
    reason = "Ann's home_city is Lisbon in 4 sessions; this says Porto once"
    assert facts["d"]["doubt"] == reason
    assert [facts[k]["doubt"] for k in "abce"] == [None] * 4
    demoted = members[PORTO["fact_id"]]
    assert (demoted["status"], demoted["reason"], demoted["part"]) == ("demoted", reason, 0)
    assert (link["source_id"], link["type"]) == (PORTO["fact_id"], "contradicts")
    assert link["target_id"] in {row["fact_id"] for row in LISBON}
    assert link["method"] == "persona"
    plain = content_id("link", "contradicts", link["source_id"], link["target_id"])
    assert link["link_id"] != plain, "a step that judges pairs may say the same of this pair"


def test_a_last_value_that_nothing_takes_up_is_doubted():
    rows = [*LISBON[:3], PORTO, tells("z", 40, "Ann: the weather is fine.")]
    assert reflect(rows)[0]["d"]["doubt"] is not None


def test_nothing_came_after_it():
    assert reflect([*LISBON[:3], PORTO])[0]["d"]["doubt"] is None


def test_a_move_that_is_announced_confirmed_or_named_again_is_not_doubted():
    later = tells("z", 40, "Ann: the weather is fine.")
    announced = in_city("d", 20, "Porto", "Ann has moved to Porto.")
    confirmed = in_city("f", 40, "Porto")
    named = tells("f", 40, "Ann: the river in Porto is wide.")
    for rows in ([announced, later], [PORTO, confirmed], [PORTO, named]):
        facts, _, links = reflect([*LISBON[:3], *rows])
        assert not links
        assert all(row["doubt"] is None for row in facts.values())


def test_a_former_value_is_not_doubted():
    rows = [in_city("d", 0, "Porto"), *LISBON]
    assert not reflect(rows)[2]


def test_a_step_on_the_way_is_not_doubted():
    rows = [*LISBON[:3], PORTO, in_city("f", 40, "Rome")]
    assert reflect(rows)[0]["d"]["doubt"] is None


def test_little_support_doubts_nothing():
    rows = [*LISBON[:2], PORTO, tells("z", 40, "Ann: the weather is fine.")]
    assert not reflect(rows)[2]


def test_other_people_are_not_concerned():
    rows = [*LISBON, in_city("d", 20, "Porto", subject="Ben", speaker="Ben")]
    assert not reflect(rows)[2]


def test_a_taste_turned_round_once_is_doubted():
    rows = [tells(k, d, "Ann loves cilantro.") for k, d in [("a", 1), ("b", 5), ("c", 9)]]
    rows += [tells("d", 20, "Ann hates cilantro."), tells("z", 40, "Ann: the weather is fine.")]
    facts, _, links = reflect(rows)
    assert facts["d"]["doubt"] == "Ann likes cilantro in 3 sessions; this says dislikes once"
    assert len(links) == 1


def about(key: str, who: str, text: str, **more: Any):
    more = {"speaker": who, "cell_id": f"cell-{key}", "session_id": f"s{key}"} | more
    return fact(key, ord(key[0]) * DAY, f"{who}: {text}", **more)


def test_a_story_that_nothing_ties_to_the_scene_is_set_apart():
    main = [about(f"{k}1", "Ann", "the roses bloom in the garden.") for k in "abcd"]
    other = [about(f"{k}2", "Ben", "the engine needs oil.") for k in "efg"]
    stray = [about("h3", "Cid", "rain again.")]
    _, members, links = reflect(
        [*main, *other, *stray], scene("x", [*main, *other, *stray], "garden")
    )
    assert not links
    assert {members[row["fact_id"]]["status"] for row in [*main, *stray]} == {"member"}
    assert {members[row["fact_id"]]["part"] for row in other} == {1}
    reasons = {members[row["fact_id"]]["reason"] for row in other}
    assert reasons == {"shares no person and no keyword with the scene's main story"}


def test_a_keyword_a_name_or_an_exchange_ties():
    main = [about(f"{k}1", "Ann", "the roses bloom in the garden.") for k in "abcd"]
    texts = ["the garden needs water.", "Ann should rest.", "rain again."]
    for text, more in zip(texts, [{}, {"entities": ["Ann"]}, {"cell_id": "cell-a1"}], strict=True):
        other = [about(f"{k}2", "Ben", text, **more) for k in "efg"]
        _, members, _ = reflect([*main, *other], scene("x", [*main, *other], "garden"))
        assert {row["status"] for row in members.values()} == {"member"}


def test_a_keyword_does_not_tie_people_who_clash():
    def diets(who: str, keys: str, diet: str):
        given = {"subject": who, "attribute": "diet", "value": diet}
        first = about(f"{keys[0]}1", who, f"I'm {diet}, about dinner.", **given)
        return [first, *(about(f"{k}1", who, "soup for dinner.") for k in keys[1:])]

    main, other = diets("Ann", "abcd", "vegan"), diets("Ben", "efg", "keto")
    _, members, _ = reflect([*main, *other], scene("x", [*main, *other], "dinner"))
    assert {members[row["fact_id"]]["status"] for row in main} == {"member"}
    assert {members[row["fact_id"]]["reason"] for row in other} == {
        "about Ben, whose diet is keto; Ann's is vegan"
    }


@given(st.data())
@examples(20)
def test_order_of_rows_does_not_matter(data: st.DataObject):
    rows: list[dict[str, Any]] = []
    for number in range(data.draw(st.integers(1, 10))):
        session = data.draw(st.integers(0, 4))
        city = data.draw(st.sampled_from(["Rome", "Rome", "Oslo", None]))
        who = data.draw(st.sampled_from(["Ann", "Ben"]))
        more: dict[str, Any] = {"session_id": f"s{session}", "speaker": who}
        more |= {"cell_id": f"cell{data.draw(st.integers(0, 5))}"}
        if city:
            more |= {"subject": who, "attribute": "home_city", "value": city}
        rows.append(fact(f"m{number}", session * DAY, f"{who}: on {city}.", **more))
    given_tables = inputs(rows, [scene("x", rows, "on")])
    operator = PersonaReflection(least_apart=data.draw(st.integers(1, 3)))
    expected = operator.run(given_tables, HashModels()).tables
    seed = data.draw(st.integers(0, 99))
    mixed = {n: shuffled(t, seed) if t.num_rows else t for n, t in given_tables.items()}
    assert operator.run(mixed, HashModels()).tables == expected
    doubts = {row["fact_id"] for row in expected["facts"].to_pylist() if row["doubt"]}
    demoted = {
        row["memory_id"]
        for row in expected["scene_members"].to_pylist()
        if row["status"] == "demoted"
    }
    assert doubts == demoted == {row["source_id"] for row in expected["links"].to_pylist()}
