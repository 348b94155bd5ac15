"""Reflection by a model: what it is asked, and what becomes of its judgements."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from operators.personas.rule_personas import RulePersonas
from operators.reflection.llm_rule import LlmRule
from operators.reflection.persona_reflection import PersonaReflection
from operators.supersession import Supersession
from schemas.tables import TABLES
from tests.operators.llm.fakes import LLM, ScriptedModels
from tests.operators.samples import HashModels, fact, says, table

DAY = 24 * 60


def in_city(key: str, day: float, city: str, text: str = "", **more: Any):
    row = says(key, day * DAY, city, session_id=f"s{key}", **more)
    return row | ({"text": text} if text else {})


HOME = [in_city(k, d, "Lisbon") for k, d in [("a", 1), ("b", 5), ("c", 9), ("e", 30)]]
AWAY = in_city("d", 20, "Porto", "Ann has moved to Porto.")
LATER = fact("z", 40 * DAY, "Ann: the weather is fine.", session_id="sz")
KNOWN = "Known: Ann's home_city is Lisbon, in 3 sessions since 2024-01-02, "
SAID = "Statement of 2024-01-21: Ann has moved to Porto."


def judging(*verdicts: str) -> ScriptedModels:
    judged = [{"line": n, "verdict": verdict} for n, verdict in enumerate(verdicts, start=1)]
    return ScriptedModels(lambda _: json.dumps({"judged": judged}))


def tables(rows: list[dict[str, Any]]):
    facts = Supersession().run({"facts": table("facts", rows)}, HashModels()).tables["facts"]
    given = {"facts": facts, "links": table("links", [])}
    known = RulePersonas().run(given, HashModels()).tables["personas"]
    empty = {name: TABLES[name].empty() for name in ("scenes", "scene_members")}
    return {"facts": facts, "personas": known, **empty}


def doubts(rows: list[dict[str, Any]], models: ScriptedModels) -> dict[str, str]:
    operator = PersonaReflection(rule=LlmRule(llm=LLM))
    facts = operator.run(tables(rows), models).tables["facts"].to_pylist()
    return {row["message_id"]: row["doubt"] for row in facts if row["doubt"]}


def test_a_denial_is_doubted_with_who_judged_and_the_support():
    models = judging("denies")
    reason = (
        "Ann's home_city is Lisbon in 4 sessions; this says Porto once, "
        "a denial by the judgement of openai:simulated"
    )
    assert doubts([*HOME, AWAY], models) == {"d": reason}
    assert models.users == [f"[1] {KNOWN}and again later. {SAID}"]


def test_the_model_is_asked_where_the_rule_lets_pass():
    models = judging("consistent")
    assert doubts([*HOME[:3], AWAY], models) == {}
    assert models.users == [f"[1] {KNOWN}not said later. {SAID}"]


@pytest.mark.parametrize("verdict", ["change", "consistent"])
def test_a_change_is_not_doubted_though_the_rule_would(verdict: str):
    slip = AWAY | {"text": "Ann lives in Porto."}
    assert doubts([*HOME, slip], judging("denies"))
    assert doubts([*HOME, slip], judging(verdict)) == {}


def test_nothing_to_ask():
    models = judging("denies")
    for rows in (HOME, [*HOME[:2], AWAY], [in_city("d", 0, "Porto"), *HOME]):
        assert doubts(rows, models) == {}
    assert models.rounds == 0


def test_one_round_trip_for_all_conversations():
    rows = [
        row | {"conversation_id": c, "fact_id": f"{c}-{row['message_id']}"}
        for c in "xyz"
        for row in [*HOME, AWAY]
    ]
    models = judging("denies")
    assert doubts(rows, models)
    assert (models.rounds, models.calls) == (1, 3)


def test_further_confirmations_and_later_candidates_leave_the_question_as_it_is():
    before, after = judging("change"), judging("change")
    doubts([*HOME, AWAY, LATER], before)
    more = [in_city("f", 50, "Lisbon"), in_city("g", 60, "Lisbon"), in_city("h", 55, "Rome")]
    doubts([*HOME, AWAY, LATER, *more], after)
    first, second = after.users[0].splitlines()
    assert [first] == before.users
    assert second.startswith("[2] Known: Ann's home_city is Lisbon, in 5 sessions")


def test_candidates_are_asked_in_questions_of_eight():
    rows = HOME + [in_city(f"x{n:02}", 31 + n, f"Town {chr(65 + n)}") for n in range(11)]
    rows += [in_city("y", 90, "Lisbon")]
    models = judging(*["change"] * 3)
    doubts(rows, models)
    assert [len(text.splitlines()) for text in models.users] == [8, 3]


SLIP = [*HOME, AWAY | {"text": "Ann lives in Porto."}]
BY_RULE = {"d": "Ann's home_city is Lisbon in 4 sessions; this says Porto once"}


@pytest.mark.parametrize(
    "answer",
    ["oops", '{"judged": []}', json.dumps({"judged": [{"line": 5, "verdict": "denies"}]})],
)
def test_the_rule_stands_in(answer: str):
    models = ScriptedModels(lambda _: answer)
    assert doubts(SLIP, models) == BY_RULE
    assert (models.rounds, len(models.set_aside_requests)) == (2, 1)


def test_a_line_without_a_verdict_is_the_rules():
    rows = [*SLIP[:-1], in_city("c2", 12, "Rome", "Ann lives in Rome."), SLIP[-1],
            in_city("w", 45, "Lisbon")]  # fmt: skip
    found = doubts(rows, judging("denies"))
    assert sorted(found) == ["c2", "d"]
    assert "openai:simulated" in found["c2"]
    assert found["d"] == "Ann's home_city is Lisbon in 5 sessions; this says Porto once"


def test_the_first_verdict_on_a_line_counts():
    judged = [{"line": 1, "verdict": v} for v in ("change", "denies")]
    assert doubts(SLIP, ScriptedModels(lambda _: json.dumps({"judged": judged}))) == {}


def test_the_kind_decides_which_parameters_are_allowed():
    default = PersonaReflection.model_validate({"rule": {"kind": "support"}})
    assert default == PersonaReflection()
    llm = LLM.model_dump()
    judged = PersonaReflection.model_validate({"rule": {"kind": "llm", "llm": llm}})
    assert judged.cost() == "llm"
    for wrong in ({"kind": "llm"}, {"kind": "support", "llm": llm}):
        with pytest.raises(ValidationError):
            PersonaReflection.model_validate({"rule": wrong})
