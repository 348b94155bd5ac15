from typing import Any

import jsonschema
import pytest
import yaml

from pipelines.registry import operators
from pipelines.spec import json_schema, json_schema_text
from tests.pipelines.toy_operators import TOY_YAML, TOYS, ToyFacts

KNOWN = operators(TOYS, [])


def _valid(text: str) -> bool:
    document: Any = yaml.safe_load(text)
    return jsonschema.Draft202012Validator(json_schema(KNOWN)).is_valid(document)


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema(KNOWN))


def test_the_schema_accepts_what_load_accepts() -> None:
    assert _valid(TOY_YAML)
    assert _valid(TOY_YAML + "x-mine: 1\nruntime: {workers: null}\n")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("turns: 2", "turns: 0"),
        ("turns: 2", "turn: 2"),
        ("toy_cells", "toy_sells"),
        ("threshold: 0.9", "threshold: high"),
        ("version: 1", "version: 2"),
        ("  - id: cells\n    operator", "  - operator"),
        ("id: cells", "id: Cells!"),
        ("name: toy", "nome: toy"),
    ],
)
def test_the_schema_refuses_what_load_refuses(old: str, new: str) -> None:
    assert old in TOY_YAML
    assert not _valid(TOY_YAML.replace(old, new))


def test_a_schema_over_one_operator() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema(operators([ToyFacts], [])))


def test_the_schema_text_does_not_depend_on_the_order_of_registration() -> None:
    assert json_schema_text(operators(TOYS[::-1], [])) == json_schema_text(KNOWN)
