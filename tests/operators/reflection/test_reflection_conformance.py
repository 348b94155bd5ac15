"""The conformance of every operator, for `persona_reflection`."""

from typing import Any

import pyarrow as pa
import pytest

from operators.personas.rule_personas import RulePersonas
from operators.reflection.llm_rule import LlmRule
from operators.reflection.persona_reflection import PersonaReflection
from operators.supersession import Supersession
from schemas.ids import content_id
from tests.operators import test_conformance as conformance
from tests.operators.llm.fakes import LLM, ScriptedModels
from tests.operators.samples import HashModels, at, says, table

DAY = 24 * 60
CITIES = ["Rome", "Rome", "Rome", "Oslo", "Rome"]


class Denying(ScriptedModels):
    """Takes the first candidate of every conversation for a denial."""

    def __init__(self) -> None:
        super().__init__(lambda _: '{"judged": [{"line": 1, "verdict": "denies"}]}')


OPERATORS = [PersonaReflection(), PersonaReflection(rule=LlmRule(llm=LLM))]


@pytest.fixture(params=OPERATORS, ids=["rules", "llm"])
def operator(request: pytest.FixtureRequest) -> PersonaReflection:
    return request.param


@pytest.fixture(autouse=True)
def answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models that answer stand in for those that only embed."""
    monkeypatch.setattr(conformance, "HashModels", Denying)


@pytest.fixture(scope="module")
def inputs() -> dict[str, dict[str, pa.Table]]:
    rows: list[dict[str, Any]] = []
    scenes: list[dict[str, Any]] = []
    members: list[dict[str, Any]] = []
    for tenant, conversation in [("default", "c1"), ("default", "c2"), ("acme", "c3")]:
        scope = {"tenant": tenant, "conversation_id": conversation}
        said = [
            says(f"{conversation}{n}", n * DAY, city, session_id=f"{conversation}-{n}", **scope)
            for n, city in enumerate(CITIES)
        ]
        rows += said
        scene_id = content_id("scene", conversation)
        scenes.append(
            scope
            | {"scene_id": scene_id, "title": "home", "summary": "home", "keywords": ["rome"]}
            | {"people": ["Ann"], "start_time": at(0), "end_time": at(DAY), "member_count": 5}
            | {"session_count": 5, "salience": 0.5}
        )
        members += [
            scope
            | {"scene_id": scene_id, "memory_id": row["fact_id"], "weight": 0.1}
            | {"status": "member", "part": 0, "reason": None}
            for row in said
        ]
    given = {"facts": table("facts", rows)}
    facts = Supersession().run(given, HashModels()).tables["facts"]
    known = {"facts": facts, "links": table("links", [])}
    personas = RulePersonas().run(known, HashModels()).tables["personas"]
    tables = {"facts": facts, "personas": personas, "scenes": table("scenes", scenes)}
    return {"persona_reflection": tables | {"scene_members": table("scene_members", members)}}


test_a_call_per_key_gives_the_same_rows = conformance.test_a_call_per_key_gives_the_same_rows
test_conservation = conformance.test_conservation
test_enriched_tables = conformance.test_enriched_tables_keep_their_rows_and_other_columns
test_fingerprint_follows_parameters_only = conformance.test_fingerprint_follows_parameters_only
test_no_rows_in_no_rows_out = conformance.test_no_rows_in_no_rows_out
test_order_of_rows_does_not_matter = conformance.test_order_of_rows_does_not_matter
test_output_schemas = conformance.test_output_has_the_declared_tables_and_schemas
