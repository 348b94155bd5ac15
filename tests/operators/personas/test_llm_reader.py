"""Personas read by a model: what is asked, how answers become rows, and when rules stand in."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from operators.llm.call import Answer, Request
from operators.personas.llm_reader import LlmReader
from operators.personas.rule_personas import RulePersonas
from operators.supersession import Supersession
from tests.operators.llm.fakes import LLM, PlausibleModels, ScriptedModels
from tests.operators.samples import HashModels, fact, says, table

DAY = 24 * 60
LINE = re.compile(r"^\[(\d+)\] (.*)$", re.MULTILINE)


def tells(key: str, day: float, text: str, **more: Any):
    """A statement of Ann in a session of its own."""
    return fact(key, day * DAY, text, **{"session_id": f"s{key}"} | more)


def trait(line: int, value: str, attribute: str = "likes", **more: Any) -> dict[str, Any]:
    kind = "preference" if attribute in ("likes", "dislikes") else "attribute"
    told = {"line": line, "person": "Ann", "kind": kind, "attribute": attribute, "value": value}
    return told | {"ended": False, "also": []} | more


def answering(*traits: dict[str, Any]) -> ScriptedModels:
    return ScriptedModels(lambda _: json.dumps({"traits": traits}))


def by_line(told: Callable[[int, str], list[dict[str, Any]]]) -> ScriptedModels:
    """Traits by number and words of each line."""

    def script(request: Request) -> str:
        lines = LINE.findall(request.turns[-1][1])
        return json.dumps({"traits": [t for n, text in lines for t in told(int(n), text)]})

    return ScriptedModels(script)


def tables(rows: list[dict[str, Any]]):
    facts = Supersession().run({"facts": table("facts", rows)}, HashModels()).tables["facts"]
    return {"facts": facts, "links": table("links", [])}


def personas(rows: list[dict[str, Any]], models: ScriptedModels, **more: Any):
    operator = RulePersonas(reader=LlmReader(llm=LLM, **more))
    made = operator.run(tables(rows), models).tables["personas"].to_pylist()
    return sorted(made, key=lambda r: (r["person"], r["attribute"], r["value"]))


def by_rules(rows: list[dict[str, Any]]):
    made = RulePersonas().run(tables(rows), HashModels()).tables["personas"].to_pylist()
    return sorted(made, key=lambda r: (r["person"], r["attribute"], r["value"]))


SAID = [tells("a", 1, "Ann: Music! Ann loves jazz."), tells("b", 2, "Ann loves old jazz, too.")]


def test_a_row_has_the_evidence_of_all_its_lines_and_who_read_it():
    models = answering(trait(1, "jazz", also=[2]))
    (row,) = personas(SAID, models)
    assert models.users == ["[1] Ann loves jazz.\n[2] Ann loves old jazz, too."]
    assert (row["person"], row["kind"], row["attribute"]) == ("Ann", "preference", "likes")
    assert row["evidence"] == [said["fact_id"] for said in SAID]
    assert (row["support"], row["confidence"], row["made_by"]) == (2, 0.91, "llm")


def test_one_round_trip_for_all_conversations():
    rows = [row | {"conversation_id": c} for c in "xyz" for row in SAID]
    rows = [row | {"fact_id": f"{row['conversation_id']}-{row['message_id']}"} for row in rows]
    models = answering(trait(1, "jazz"))
    assert len(personas(rows, models)) == 3
    assert (models.rounds, models.calls) == (1, 3)


@pytest.mark.parametrize("statements", [3, 1])
def test_an_appended_session_changes_the_last_question_only(statements: int):
    rows = [tells(f"{n:02}", n, f"Ann loves thing {n}.") for n in range(20)]
    rows += [tells(f"{n:02}x", n + 0.1, f"Ann is fond of {n}.", session_id=f"s{n:02}")
             for n in range(0, 20, 3)]  # fmt: skip
    for size in range(1, len(rows)):
        before, after = PlausibleModels(), PlausibleModels()
        ordered = sorted(rows, key=lambda row: row["event_time"])
        personas(ordered[:size], before, statements=statements)
        personas(ordered[: size + 1], after, statements=statements)
        assert after.users[: len(before.users) - 1] == before.users[:-1]


def test_a_long_session_is_cut():
    rows = [tells(f"{n:02}", n / DAY, f"Ann loves thing {n}.", session_id="s") for n in range(20)]
    models = PlausibleModels()
    personas(rows, models, statements=4, share=1.0)
    assert [len(LINE.findall(text)) for text in models.users] == [8, 8, 4]


def test_only_new_telling_statements_of_people_are_sent():
    rows = [
        tells("a", 1, "Ann: What does Ann love? [image: a photo of Ann's dog]"),
        tells("b", 2, "Ann: Thanks, that sounds great!"),
        tells("c", 3, "Assistant loves jazz.", speaker="assistant", role="assistant"),
        tells("d", 4, "Ann loves jazz. What a day!"),
        tells("e", 5, "Ann loves jazz. What a day!", status="duplicate"),
    ]
    models = answering()
    assert personas(rows, models) == []
    assert models.users == ["[1] Ann loves jazz."]
    quiet = answering()
    personas(rows[:3], quiet)
    assert quiet.rounds == 0


def test_no_more_than_the_share_of_a_session_is_sent():
    rows = [tells(f"{n:02}", n / DAY, f"Ann loves thing {n}.", session_id="s",
                  importance=n / 100) for n in range(20)]  # fmt: skip
    models = answering()
    personas(rows, models, share=0.3)
    told = [text for _, text in LINE.findall(models.users[0])]
    assert told == [f"Ann loves thing {n}." for n in range(14, 20)]


def test_a_repetition_confirms_what_its_first_wording_claims():
    first, again = SAID[0], tells("z", 9, SAID[0]["text"])
    again |= {"status": "duplicate", "canonical_id": first["fact_id"]}
    models = answering(trait(1, "jazz"))
    (row,) = personas([first, again], models)
    assert len(LINE.findall(models.users[0])) == 1
    assert row["evidence"] == [first["fact_id"], again["fact_id"]]
    assert row["support"] == 2


def test_the_rules_stand_in_for_a_chunk_without_a_usable_answer():
    rows = [*SAID, tells("c", 3, "Ann hates rain."), tells("d", 4, "Ann's sister Eva called.")]
    models = ScriptedModels(lambda r: "oops" if "rain" in r.turns[1][1] else '{"traits": []}')
    found = personas(rows, models, statements=2)
    assert found == [row for row in by_rules(rows) if row["attribute"] in ("dislikes", "sister")]
    assert {row["made_by"] for row in found} == {"rules"}
    assert len(models.set_aside_requests) == 1
    assert models.rounds == 2


def test_an_unanswered_call_is_the_rules_too():
    models = ScriptedModels(lambda r: Answer(r.call_id(LLM), "unanswered", ""))
    assert personas(SAID, models) == by_rules(SAID)
    assert models.set_aside_requests == []


def test_a_models_trait_and_a_triple_of_one_value_are_one_row():
    rows = [
        says("a", DAY, "Porto", session_id="s1", extractor="rule_facts"),
        tells("b", 2, "Ann lives in Porto, Portugal."),
    ]
    rows[0]["text"] = "Ann lives by a river."
    models = by_line(
        lambda n, text: [trait(n, "Porto, Portugal", "Location")] if "Portugal" in text else []
    )
    (row,) = personas(rows, models)
    assert (row["attribute"], row["value"], row["made_by"]) == (
        "home_city", "Porto, Portugal", "llm",
    )  # fmt: skip
    assert row["support"] == 2


def test_the_triple_of_a_models_fact_is_not_asked_for_again():
    rows = [says("a", DAY, "Porto", session_id="s1", extractor="llm_facts")]
    models = answering()
    (row,) = personas(rows, models)
    assert (row["value"], row["made_by"], models.rounds) == ("Porto", "llm", 0)


def test_a_models_triple_may_name_the_attribute_in_its_own_way():
    told = [("Occupation", "nurse"), ("spouse", "Kim"), ("home_country", "Sweden")]
    rows = [
        says(f"{n}", DAY, value, attribute, extractor="llm_facts", ordinal=n)
        for n, (attribute, value) in enumerate(told)
    ]
    found = {(row["kind"], row["attribute"], row["value"]) for row in personas(rows, answering())}
    assert found == {
        ("attribute", "job_title", "nurse"),
        ("relation", "partner", "Kim"),
        ("attribute", "home_country", "Sweden"),
    }


def test_deeds_that_several_sessions_tell_of_need_no_model():
    rows = [tells(k, d, "Ann went hiking.") for k, d in [("a", 1), ("b", 9), ("c", 20)]]
    (row,) = personas(rows, answering())
    assert (row["value"], row["support"], row["made_by"]) == ("hiking", 3, "rules")
    (row,) = personas(rows, answering(trait(1, "Hiking", "activity", kind="habit")))
    assert (row["value"], row["support"], row["made_by"]) == ("hiking", 3, "llm")


def test_validity_is_the_rules_work():
    rows = [tells("a", 1, "Ann lives in Rome."), tells("b", 9, "Ann moved to Oslo."),
            tells("c", 20, "Ann has stopped running.")]  # fmt: skip
    models = answering(
        trait(1, "Rome", "city"),
        trait(2, "Oslo", "home_city"),
        trait(3, "running", "habit", kind="habit", ended=True),
    )
    found = {row["value"]: row["status"] for row in personas(rows, models)}
    assert found == {"Oslo": "current", "Rome": "former", "running": "former"}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (trait(1, "Kim", "wife", kind="relation"), ("relation", "partner", "Kim")),
        (trait(1, "Kim", "mother-in-law", kind="relation"), ("relation", "mother_in_law", "Kim")),
        (trait(1, "to sing", kind="attribute"), ("preference", "likes", "sing")),
        (trait(1, "the sea", "music taste", kind="preference"), ("preference", "likes", "sea")),
        (trait(1, "pad thai", "Favorite food"), ("preference", "favourite_food", "pad thai")),
        (trait(1, "goes hiking", "hiking", kind="habit"), ("habit", "habit", "hiking")),
        (trait(1, "nurse", "Occupation"), ("attribute", "job_title", "nurse")),
        (trait(1, "brave", "character"), ("attribute", "character", "brave")),
    ],
)
def test_names_and_values_become_those_of_the_rules(
    told: dict[str, Any], expected: tuple[str, str, str]
):
    (row,) = personas([tells("a", 1, "Ann loves Kim and the sea.")], answering(told))
    assert (row["kind"], row["attribute"], row["value"]) == expected


ODD = [
    trait(9, "jazz"),
    trait(1, "jazz", person="Assistant"),
    trait(1, "jazz", person="Zoe"),
    trait(1, " "),
    trait(1, "it"),
    trait(1, "Ann"),
    trait(1, "Lisbon", "home_city"),
    trait(1, "5 March", "birthday"),
    trait(1, "someone", "sister", kind="relation"),
    trait(1, "soon", "deadline"),
    trait(1, "jazz", ""),
]


@pytest.mark.parametrize("odd", ODD, ids=str)
def test_odd_traits_are_left_out(odd: dict[str, Any]):
    rows = [tells("a", 1, "Ann loves jazz.")]
    found = personas(rows, answering(odd, trait(1, "jazz")))
    expected = personas(rows, answering(trait(1, "jazz")))
    assert found == expected
    assert len(found) == 1


def test_an_answer_without_any_usable_trait_is_asked_for_again():
    models = answering(trait(9, "jazz"))
    assert personas(SAID, models) == by_rules(SAID)
    assert (models.rounds, len(models.set_aside_reasons)) == (2, 1)
    assert "1 to 2" in models.set_aside_reasons[0]


def test_short_names_and_people_who_are_told_of():
    rows = [tells("a", 1, "Melanie: My sister Zoe loves tea. I love pottery.", speaker="Melanie")]
    models = answering(trait(1, "pottery", person="Mel"), trait(1, "tea", person="Zoe"))
    found = {row["person"]: row for row in personas(rows, models)}
    assert (found["Melanie"]["value"], found["Melanie"]["confidence"]) == ("pottery", 0.7)
    assert (found["Zoe"]["value"], found["Zoe"]["confidence"]) == ("tea", 0.5)


def test_the_kind_decides_which_parameters_are_allowed():
    assert RulePersonas.model_validate({"reader": {"kind": "rules"}}) == RulePersonas()
    llm = LLM.model_dump()
    read = RulePersonas.model_validate({"reader": {"kind": "llm", "llm": llm}})
    assert read.cost() == "llm"
    assert "artifacts" in read.writes()
    for wrong in ({"kind": "llm"}, {"kind": "rules", "llm": llm}, {"kind": "magic"}):
        with pytest.raises(ValidationError):
            RulePersonas.model_validate({"reader": wrong})
