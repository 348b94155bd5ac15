"""The conformance of every operator, for `rule_personas`."""

from typing import Any

import pyarrow as pa
import pytest

from operators.personas.llm_reader import LlmReader
from operators.personas.rule_personas import RulePersonas
from operators.supersession import Supersession
from tests.operators import test_conformance as conformance
from tests.operators.llm.fakes import LLM, PlausibleModels
from tests.operators.samples import HashModels, facts_of, log, table

OPERATORS = [RulePersonas(), RulePersonas(reader=LlmReader(llm=LLM, statements=5))]


@pytest.fixture(params=OPERATORS, ids=["rules", "llm"])
def operator(request: pytest.FixtureRequest) -> RulePersonas:
    return request.param


@pytest.fixture(autouse=True)
def answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models that answer stand in for those that only embed."""
    monkeypatch.setattr(conformance, "HashModels", PlausibleModels)


@pytest.fixture(scope="module")
def inputs() -> dict[str, dict[str, pa.Table]]:
    messages = [row | {"session_id": f"s{n % 7}"} for n, row in enumerate(log(1))]
    facts = facts_of(table("messages", messages), 2)
    made: Any = Supersession().run({"facts": facts}, HashModels()).tables
    return {"rule_personas": {"facts": made["facts"], "links": made["links"]}}


test_a_call_per_key_gives_the_same_rows = conformance.test_a_call_per_key_gives_the_same_rows
test_conservation = conformance.test_conservation
test_enriched_tables = conformance.test_enriched_tables_keep_their_rows_and_other_columns
test_fingerprint_follows_parameters_only = conformance.test_fingerprint_follows_parameters_only
test_no_rows_in_no_rows_out = conformance.test_no_rows_in_no_rows_out
test_order_of_rows_does_not_matter = conformance.test_order_of_rows_does_not_matter
test_output_schemas = conformance.test_output_has_the_declared_tables_and_schemas
