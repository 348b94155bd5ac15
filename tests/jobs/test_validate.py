import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from jobs.commands.plan import register
from jobs.validate import schema_text, validate
from pipelines.registry import operators
from tests.pipelines.toy_operators import TOY_YAML, TOYS

KNOWN = operators(TOYS, [])


def _file(folder: Path, text: str) -> str:
    path = folder / "toy.yaml"
    path.write_text(text)
    return str(path)


def test_a_valid_pipeline(tmp_path: Path) -> None:
    source = _file(tmp_path, TOY_YAML)
    found = validate(source, KNOWN)
    assert found.plan is not None
    assert found.exit_code == 0
    assert found.to_text() == f"{source}: valid, 7 steps, fingerprint {found.plan.fingerprint}"
    body = json.loads(found.to_json())
    assert body["valid"] is True
    assert body["steps"][0] == "sessions"
    assert body["errors"] == []


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("turns: 2", "turn: 2", 8),  # a fault of the YAML
        ("operator: toy_sessions", "operator: toy_titles", 5),  # a fault of the data flow
    ],
)
def test_an_invalid_pipeline(tmp_path: Path, old: str, new: str, line: int) -> None:
    source = _file(tmp_path, TOY_YAML.replace(old, new))
    found = validate(source, KNOWN)
    assert found.plan is None
    assert found.exit_code == 2
    assert found.to_text().startswith(f"error: {source}:{line}:")
    body = json.loads(found.to_json())
    assert body["valid"] is False
    assert body["errors"][0]["line"] == line


def test_one_error_is_counted_as_one(tmp_path: Path) -> None:
    source = _file(tmp_path, TOY_YAML.replace("turns: 2", "turn: 2"))
    assert validate(source, KNOWN).to_text().endswith(f"\n{source}: 1 error")


def test_a_file_that_does_not_exist() -> None:
    found = validate("./nowhere.yaml", KNOWN)
    assert found.to_text() == "error: ./nowhere.yaml: no such file\n./nowhere.yaml: 1 error"


def test_warnings_do_not_fail(tmp_path: Path) -> None:
    text = TOY_YAML[: TOY_YAML.index("  - id: extract")]
    found = validate(_file(tmp_path, text), KNOWN)
    assert found.exit_code == 0
    assert found.to_text().startswith("warning: ")
    assert "is unused" in json.loads(found.to_json())["warnings"][0]["message"]


def test_the_schema_is_json() -> None:
    assert json.loads(schema_text(KNOWN))["title"] == "Pipeline"


def test_a_pipeline_or_the_schema() -> None:
    app = typer.Typer()
    register(app)
    assert CliRunner().invoke(app, ["validate", "--schema"]).exit_code == 0
    both = CliRunner().invoke(app, ["validate", "--schema", "conversation_memory"])
    assert both.exit_code == 2
    assert "not both" in both.output
