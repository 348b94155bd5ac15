"""Personas: which rows a conversation gives, with what validity and confidence."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from operators.personas.rule_personas import RulePersonas
from operators.supersession import Supersession
from schemas.tables import TABLES
from tests.effort import examples
from tests.operators.samples import HashModels, at, fact, says, shuffled, table

DAY = 24 * 60


def personas(rows: list[dict[str, Any]], links: list[dict[str, Any]] | None = None):
    """Rows of the table after supersession and personas, as a reader lists them."""
    facts = Supersession().run({"facts": table("facts", rows)}, HashModels()).tables["facts"]
    given = {"facts": facts, "links": table("links", links or [])}
    made = RulePersonas().run(given, HashModels()).tables["personas"]
    assert made.schema.equals(TABLES["personas"].schema)
    return sorted(made.to_pylist(), key=lambda r: (r["kind"], r["attribute"], r["value"]))


def only(rows: list[dict[str, Any]], attribute: str):
    return {row["value"]: row for row in rows if row["attribute"] == attribute}


def tells(key: str, day: float, text: str, **more: Any):
    """A statement of Ann in a session of its own."""
    return fact(key, day * DAY, text, **{"session_id": f"s{key}"} | more)


def in_city(key: str, day: float, city: str, text: str = "", **more: Any):
    row = says(key, day * DAY, city, session_id=f"s{key}", **more)
    return row | ({"text": text} if text else {})


def test_values_that_follow_each_other():
    rows = [in_city("a", 1, "Rome"), in_city("b", 2, "rome."), in_city("c", 9, "Oslo")]
    found = only(personas(rows), "home_city")
    assert found["Oslo"]["status"] == "current"
    assert found["Oslo"]["valid_from"] == at(9 * DAY)
    (rome,) = (row for value, row in found.items() if value.startswith(("R", "r")))
    assert (rome["status"], rome["valid_to"]) == ("former", at(9 * DAY))
    assert (rome["support"], len(rome["evidence"])) == (2, 2)
    assert rome["confidence"] == 0.91
    assert 0 < rome["stability"] < 0.1


def test_a_value_that_narrows_another_is_the_same_value():
    rows = [in_city("a", 1, "Porto"), in_city("b", 2, "Porto, Portugal")]
    (row,) = personas(rows)
    assert (row["value"], row["support"], row["status"]) == ("Porto, Portugal", 2, "current")


def test_one_unannounced_session_between_two_of_another_value_is_a_clash():
    rows = [in_city(k, d, v) for k, d, v in [("a", 1, "Rome"), ("b", 2, "Oslo"), ("c", 3, "Rome")]]
    found = only(personas(rows), "home_city")
    assert (found["Rome"]["status"], found["Rome"]["valid_to"]) == ("current", None)
    assert found["Rome"]["support"] == 2
    assert found["Oslo"]["status"] == "conflict"
    assert found["Oslo"]["confidence"] < found["Rome"]["confidence"]


def test_an_announced_move_back_and_forth_is_no_clash():
    rows = [
        in_city("a", 1, "Rome"),
        in_city("b", 2, "Oslo", "Ann just moved to Oslo."),
        in_city("c", 3, "Rome", "Ann moved back to Rome."),
    ]
    statuses = [row["status"] for row in personas(rows)]
    assert sorted(statuses) == ["current", "former", "former"]


def test_two_messages_of_one_time_clash():
    rows = [in_city("a", 1, "Rome"), in_city("b", 1, "Oslo")]
    assert {row["status"] for row in personas(rows)} == {"conflict"}


def test_pairs_linked_as_contradicting_clash():
    rows = [
        says("a", 1, "peanuts", "allergy", session_id="s1"),
        says("b", DAY, "nuts", "allergy", session_id="s2"),
    ]
    link = {
        "tenant": "default", "conversation_id": "c", "link_id": "l", "type": "contradicts",
        "source_id": rows[1]["fact_id"], "target_id": rows[0]["fact_id"], "score": 0.9,
        "method": "rule", "step": "relate",
    }  # fmt: skip
    assert {row["status"] for row in personas(rows)} == {"current"}
    clashing = personas(rows, [link])
    assert {row["status"] for row in clashing} == {"conflict"}
    assert {row["confidence"] for row in clashing} == {0.35}


def test_repetitions_set_aside_as_duplicates_confirm():
    first = says("a", 1, "peanuts", "allergy", session_id="s1")
    again = says("b", DAY, "peanuts", "allergy", session_id="s2")
    again |= {"status": "duplicate", "canonical_id": first["fact_id"]}
    (row,) = personas([first, again])
    assert row["support"] == 2
    assert row["evidence"] == [first["fact_id"], again["fact_id"]]


def test_likes_and_dislikes_of_one_thing():
    rows = [tells("a", 1, "Ann loves jazz."), tells("b", 2, "Ann hates jazz!")]
    assert {row["status"] for row in personas(rows)} == {"conflict"}
    rows.append(tells("c", 3, "Ann really can't stand jazz."))
    found = {row["attribute"]: row["status"] for row in personas(rows)}
    assert found == {"likes": "former", "dislikes": "current"}


def test_habits_begun_and_given_up():
    rows = [
        tells("a", 1, "Ann has started running."),
        tells("b", 5, "Ann has stopped running, the knee hurts."),
        tells("c", 6, "And Ann has stopped drinking coffee."),
    ]
    found = only(personas(rows), "habit")
    assert (found["running"]["status"], found["running"]["valid_to"]) == ("former", at(5 * DAY))
    assert found["drinking coffee"]["valid_from"] is None
    assert found["drinking coffee"]["valid_to"] == at(6 * DAY)


def test_a_deed_is_a_habit_from_three_sessions_on():
    rows = [tells(k, d, t) for k, d, t in [
        ("a", 1, "Ann went hiking with the club."),
        ("b", 9, "Last weekend was dull. Ann hiked anyway."),
        ("c", 20, "Ann goes hiking on Sunday."),
    ]]  # fmt: skip
    assert not personas(rows[:2])
    (row,) = personas(rows)
    assert (row["kind"], row["value"], row["support"]) == ("habit", "hiking", 3)


def test_a_last_day_ends_the_job_and_the_title_told_with_it():
    rows = [
        tells("a", 1, "Ann works at Acme Press as a proofreader",
              subject="Ann", attribute="employer", value="Acme Press"),
        tells("b", 9, "Ann: Good news. Ann's last day at Acme is Friday (12 January 2024)"),
        tells("c", 30, "Ann is free."),
    ]  # fmt: skip
    employer, title = personas(rows)
    assert (employer["value"], title["value"]) == ("Acme Press", "proofreader")
    assert {r["status"] for r in (employer, title)} == {"former"}
    assert employer["valid_to"] == title["valid_to"] == at(12 * DAY)


def test_who_owns_what_is_told_of_the_owner():
    rows = [
        says("a", 1, "Ann", "owner", subject="billing", session_id="s1"),
        says("b", DAY, "Ben", "owner", subject="billing", session_id="s2", speaker="Ben"),
        says("c", DAY, "2024-05-01", "deadline", subject="billing", session_id="s2"),
    ]
    found = {row["person"]: row for row in personas(rows)}
    assert found["Ann"]["attribute"] == found["Ben"]["attribute"] == "responsible_for"
    assert (found["Ann"]["status"], found["Ben"]["status"]) == ("former", "current")
    assert found["Ann"]["confidence"] == found["Ben"]["confidence"] == 0.7


def test_food_one_cannot_have_confirms_the_allergy():
    rows = [
        tells("a", 1, "Ann is lactose intolerant, so no cream."),
        tells("b", 2, "Ann can't have lactose."),
        tells("c", 3, "Ann can't eat meat."),
    ]
    found = {(r["attribute"], r["value"], r["support"]) for r in personas(rows)}
    assert found == {("intolerance", "lactose", 2), ("does_not_eat", "meat", 1)}


def test_assistants_have_no_persona():
    rows = [tells("a", 1, "Assistant loves jazz.", speaker="assistant", role="assistant")]
    assert not personas(rows)


SAID = st.sampled_from(
    [
        "Ann loves jazz.", "Ann hates jazz.", "Ann went hiking.", "Ann's sister Eva called.",
        "Ann has started running.", "Ann has stopped running.", "Ann lives in Rome.", "",
    ]
)  # fmt: skip


@given(st.data())
@examples(25)
def test_order_of_rows_does_not_matter(data: st.DataObject):
    rows: list[dict[str, Any]] = []
    for number in range(data.draw(st.integers(1, 9))):
        session = data.draw(st.integers(0, 3))
        more: dict[str, Any] = {"session_id": f"s{session}", "seq": data.draw(st.integers(0, 1))}
        text = data.draw(SAID)
        if not text or "Rome" in text:
            city = data.draw(st.sampled_from(["Rome", "Oslo"]))
            more |= {"subject": "Ann", "attribute": "home_city", "value": city}
        rows.append(fact(f"m{number}", session * DAY, text, **more))
    facts = Supersession().run({"facts": table("facts", rows)}, HashModels()).tables["facts"]
    links = table("links", [])
    run = RulePersonas().run
    expected = run({"facts": facts, "links": links}, HashModels()).tables["personas"]
    mixed = shuffled(facts, data.draw(st.integers(0, 99)))
    assert run({"facts": mixed, "links": links}, HashModels()).tables["personas"] == expected
    ids = {row["fact_id"]: row for row in rows}
    for row in expected.to_pylist():
        assert set(row["evidence"]) <= ids.keys()
        assert row["support"] == len({ids[f]["session_id"] for f in row["evidence"]})
        assert 0 <= row["confidence"] <= 1
        assert 0 <= row["stability"] <= 1
        if row["valid_from"] and row["valid_to"]:
            assert row["valid_from"] <= row["valid_to"]
