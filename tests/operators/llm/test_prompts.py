"""Prompt files: a version, no placeholders, an answer form that engines take."""

import json
from pathlib import Path

import pytest
from pydantic import BaseModel

import operators.llm.prompt as module
from operators.base import Operator
from operators.llm.part import LlmPart
from operators.llm.prompt import Prompt
from operators.llm.spec import Price
from pipelines.plan import plan

PARTS = [
    part
    for step in plan("conversation_memory_llm").steps
    for part in step.operator.llm_parts().values()
]
PROMPTS = {prompt.name: prompt for part in PARTS for prompt in part.PROMPTS}


def test_every_prompt_file_is_used() -> None:
    files = {path.stem for path in (Path(module.__file__).parent / "prompts").glob("*.md")}
    assert files == set(PROMPTS)


@pytest.mark.parametrize("name", sorted(PROMPTS))
def test_a_prompt_has_a_version_and_instructions(name: str) -> None:
    prompt = PROMPTS[name]
    assert prompt.version >= 1
    assert 100 < len(prompt.system) < 4000
    assert prompt.identity.startswith(f"{name}@{prompt.version}:")


@pytest.mark.parametrize("name", sorted(PROMPTS))
def test_answers_are_bounded(name: str) -> None:
    """Small models never end a list or a string that has no bound."""
    schema = json.loads(PROMPTS[name].schema)
    for place in _walk(schema):
        kind = place.get("type")
        if kind == "array":
            assert "maxItems" in place, place
        if kind == "string":
            assert {"maxLength", "enum", "const"} & place.keys(), place
        if kind == "integer":
            assert "maximum" in place, place


def _walk(schema: object) -> list[dict[str, object]]:
    if isinstance(schema, list):
        return [found for part in schema for found in _walk(part)]
    if not isinstance(schema, dict):
        return []
    return [schema, *(found for part in schema.values() for found in _walk(part))]


class Reply(BaseModel):
    yes: bool


def test_a_changed_prompt_is_another_fingerprint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FOLDER", tmp_path)
    (tmp_path / "p.md").write_text("version: 1\nAnswer yes.")
    one = Prompt("p", Reply, 10).identity
    (tmp_path / "p.md").write_text("version: 1\nAnswer yes!")
    other_words = Prompt("p", Reply, 10).identity
    (tmp_path / "p.md").write_text("version: 2\nAnswer yes.")
    other_version = Prompt("p", Reply, 10).identity
    assert len({one, other_words, other_version}) == 3
    (tmp_path / "p.md").write_text("Answer yes.")
    with pytest.raises(ValueError, match="must begin with a line `version: N`"):
        _ = Prompt("p", Reply, 10).identity


@pytest.mark.parametrize("part", PARTS, ids=lambda part: type(part).__name__)
def test_prompts_and_model_are_in_the_fingerprint(part: LlmPart) -> None:
    told = part.fingerprint_parameters_of_llm()
    assert told["prompts"] == [prompt.identity for prompt in part.PROMPTS] != []
    assert told["llm"] == part.llm.identity
    assert "replicas" not in told["llm"] and "price" not in told["llm"]


def test_where_a_model_runs_is_in_no_fingerprint() -> None:
    for step in plan("conversation_memory_llm").steps:
        operator: Operator = step.operator
        for name, part in operator.llm_parts().items():
            llm = part.llm.model_copy(update={"price": Price(input=9.0), "replicas": 7})
            changed = {name: part.model_copy(update={"llm": llm})} if name else {"llm": llm}
            other = operator.model_copy(update=changed)
            assert other.fingerprint() == operator.fingerprint()
            llm = part.llm.model_copy(update={"model": "another"})
            changed = {name: part.model_copy(update={"llm": llm})} if name else {"llm": llm}
            assert operator.model_copy(update=changed).fingerprint() != operator.fingerprint()
