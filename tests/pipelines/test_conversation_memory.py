"""The shipped pipeline, over the shipped operators."""

import pytest

from operators.base import Cost
from pipelines.load import SHIPPED, load, shipped_pipelines
from pipelines.plan import Plan, plan
from pipelines.registry import BUILT_IN, operators
from pipelines.spec import json_schema_text

NAME = "conversation_memory"


@pytest.fixture(scope="module")
def shipped() -> Plan:
    return plan(NAME, operators(BUILT_IN, []))


def test_it_is_shipped() -> None:
    assert NAME in shipped_pipelines()


def test_it_is_valid_without_warnings(shipped: Plan) -> None:
    assert shipped.name == NAME
    assert shipped.warnings == ()
    assert [step.id for step in shipped.steps] == [
        "sessions",
        "cells",
        "extract",
        "embed",
        "episodes",
        "deduplicate",
        "evolve",
        "entities",
        "associate",
        "relate",
        "scenes",
        "personas",
        "reflect",
        "tree",
    ]


def test_it_needs_no_llm(shipped: Plan) -> None:
    costs = {step.id: step.cost for step in shipped.steps}
    assert {name for name, cost in costs.items() if cost is not Cost.NONE} == {"embed"}
    assert costs["embed"] is Cost.EMBEDDING


def test_the_vectors_depend_on_the_extractor_alone(shipped: Plan) -> None:
    assert shipped.step("embed").upstream == ("extract",)
    levels = ("associate", "relate", "scenes", "personas", "reflect", "tree")
    assert shipped.downstream("deduplicate") == ("evolve", "entities", *levels)
    assert shipped.downstream("scenes") == ("personas", "reflect", "tree")


def test_its_parameters_are_the_defaults() -> None:
    # So that the file can be read as documentation, and a shorter one means the same.
    for step in load(NAME, operators(BUILT_IN, [])).spec.steps:
        assert step.operator == type(step.operator)(), step.id  # type: ignore[call-arg]


def test_the_committed_schema_is_current() -> None:
    committed = (SHIPPED / "pipeline.schema.json").read_text()
    assert committed == json_schema_text(operators(BUILT_IN, [])), (
        "run: memoryflow validate --schema > pipelines/pipeline.schema.json"
    )
