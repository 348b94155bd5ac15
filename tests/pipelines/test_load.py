import json
import pickle
from pathlib import Path

import pytest

from pipelines.errors import PipelineError
from pipelines.load import SHIPPED, LoadedPipeline, load, loads
from pipelines.registry import operators
from tests.pipelines.toy_operators import TOY_YAML, TOYS, ToyCells, ToyFacts

KNOWN = operators(TOYS, [])
NAMES = ", ".join(sorted(KNOWN))


def _load(text: str) -> LoadedPipeline:
    return loads(text, "p.yaml", KNOWN)


def _errors(text: str) -> list[str]:
    with pytest.raises(PipelineError) as caught:
        _load(text)
    return [str(problem) for problem in caught.value.problems]


def _step_errors(step: str) -> list[str]:
    return _errors(f"version: 1\nname: toy\nsteps:\n  - {step}\n")


def test_a_flat_step_becomes_an_operator() -> None:
    spec = _load(TOY_YAML).spec
    assert spec.name == "toy"
    assert [step.id for step in spec.steps][:3] == ["sessions", "cells", "extract"]
    assert spec.steps[1].operator == ToyCells(turns=2)
    assert type(spec.steps[1].operator) is ToyCells
    assert spec.input.max_text_chars == 1_000_000
    assert spec.steps[1].operator.fingerprint() == ToyCells(turns=2).fingerprint()


def test_a_registry_of_one_operator_works() -> None:
    known = operators([ToyFacts], [])
    text = "version: 1\nname: toy\nsteps:\n  - {id: a, operator: toy_fact, styl: x}\n"
    with pytest.raises(PipelineError) as caught:
        loads(text, "p.yaml", known)
    first, second = [str(problem) for problem in caught.value.problems]
    assert first == (
        "p.yaml:4:23: steps[0].operator: there is no operator 'toy_fact'. Did you mean 'toy_facts'?"
    )
    assert second == "p.yaml:4:33: steps[0].styl: unknown key 'styl'"
    text = text.replace("toy_fact,", "toy_facts,").replace("styl:", "style:")
    assert loads(text.replace("x}", "fancy}"), "p.yaml", known).spec.steps[0].operator == ToyFacts(
        style="fancy"
    )


def test_an_unknown_operator() -> None:
    assert _step_errors("{id: a, operator: toy_jugde}") == [
        "p.yaml:4:23: steps[0].operator: there is no operator 'toy_jugde'. "
        "Did you mean 'toy_judge'?"
    ]


def test_an_unknown_operator_unlike_any_other_lists_them() -> None:
    assert _step_errors("{id: a, operator: qqq}") == [
        f"p.yaml:4:23: steps[0].operator: there is no operator 'qqq'. Known operators: {NAMES}."
    ]


def test_a_missing_operator() -> None:
    assert _step_errors("{id: a}") == [
        f"p.yaml:4:5: steps[0].operator: 'operator' is missing. Known operators: {NAMES}."
    ]


def test_an_operator_that_is_not_text() -> None:
    assert _step_errors("{id: a, operator: 3}")[0].startswith(
        "p.yaml:4:23: steps[0].operator: there is no operator 3"
    )
    assert _step_errors("{id: a, operator: [toy_judge]}")[0].startswith(
        "p.yaml:4:23: steps[0].operator: there is no operator"
    )


def test_an_unknown_parameter() -> None:
    assert _step_errors("{id: a, operator: toy_judge, treshold: 0.5}") == [
        "p.yaml:4:34: steps[0].treshold: operator 'toy_judge' has no parameter 'treshold'. "
        "Did you mean 'threshold'?"
    ]


def test_an_unknown_parameter_unlike_any_other_lists_them() -> None:
    assert _step_errors("{id: a, operator: toy_judge, zz: 0.5}") == [
        "p.yaml:4:34: steps[0].zz: operator 'toy_judge' has no parameter 'zz'. "
        "Known parameters: exact, threshold."
    ]


def test_a_value_out_of_range() -> None:
    assert _step_errors("{id: a, operator: toy_judge, threshold: 1.5}") == [
        "p.yaml:4:45: steps[0].threshold: should be less than or equal to 1, not 1.5"
    ]


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("operator: toy_cells, turns: '2'", "should be a valid integer, not '2'"),
        ("operator: toy_cells, turns: true", "should be a valid integer, not true"),
        ("operator: toy_cells, turns: 2.5", "not 2.5"),
        ("operator: toy_cells, turns: null", "should be a valid integer, not null"),
        ("operator: toy_judge, exact: yes", "should be a valid boolean, not 'yes'"),
        ("operator: toy_judge, exact: 1", "should be a valid boolean, not 1"),
        ("operator: toy_judge, threshold: high", "not 'high'"),
        ("operator: toy_judge, threshold: '0.5'", "should be a valid number, not '0.5'"),
    ],
)
def test_values_of_another_type_are_not_converted(step: str, message: str) -> None:
    errors = _step_errors(f"{{id: a, {step}}}")
    assert len(errors) == 1
    assert errors[0].endswith(message)
    assert errors[0].startswith("p.yaml:4:")


def test_a_wrong_choice() -> None:
    assert _step_errors("{id: a, operator: toy_facts, style: fancyy}") == [
        "p.yaml:4:41: steps[0].style: should be 'plain' or 'fancy', not 'fancyy'. "
        "Did you mean 'fancy'?"
    ]


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ("wording: {kind: shrt}", "50: {}.kind: there is no kind 'shrt'. Did you mean 'short'?"),
        ("wording: {words: 3}", "43: {}.kind: 'kind' is missing"),
        ("wording: 3", "43: {}: should be a mapping, not 3"),
        (
            "wording: {kind: short, word: 3}",
            "57: {}.word: unknown key 'word'. Did you mean 'words'?",
        ),
        (
            "wording: {kind: short, words: x}",
            "64: {}.words: should be a valid integer, not 'x'",
        ),
    ],
)
def test_parameters_that_are_mappings(parameter: str, message: str) -> None:
    errors = _step_errors(f"{{id: a, operator: toy_facts, {parameter}}}")
    assert errors == ["p.yaml:4:" + message.format("steps[0].wording")]


def test_a_list_is_called_a_list() -> None:
    assert _step_errors("{id: a, operator: toy_facts, kinds: all}") == [
        "p.yaml:4:41: steps[0].kinds: should be a list, not 'all'"
    ]


def test_a_missing_and_a_bad_step_id() -> None:
    assert _step_errors("{operator: toy_cells}") == [
        "p.yaml:4:5: steps[0].id: 'id' is missing. Give each step its own id."
    ]
    assert _step_errors("{id: My Step, operator: toy_cells}") == [
        "p.yaml:4:10: steps[0].id: 'My Step' is not a name. "
        "Write a lower-case letter, then lower-case letters, digits and '_'."
    ]


def test_a_step_that_is_not_a_mapping() -> None:
    errors = _step_errors("toy_cells")
    assert errors == ["p.yaml:4:5: steps[0]: should be a mapping, not 'toy_cells'"]


def test_duplicate_ids_are_reported_beside_other_problems() -> None:
    text = (
        "version: 1\nname: toy\nsteps:\n"
        "  - {id: a, operator: toy_cells}\n"
        "  - {id: a, operator: toy_fcts}\n"
    )
    assert _errors(text) == [
        "p.yaml:5:10: steps[1].id: the step id 'a' is already used on line 4. "
        "Give each step its own id.",
        "p.yaml:5:23: steps[1].operator: there is no operator 'toy_fcts'. "
        "Did you mean 'toy_facts'?",
    ]


def test_everything_wrong_is_reported_at_once_in_order() -> None:
    text = (
        "version: 2\nname: Toy!\nstesp: []\ninput: {max_text_char: 5}\n"
        "runtime: {workers: 0}\nsteps:\n  - {id: a, operator: toy_cells, turn: 1}\n"
        "  - {id: b, operator: toy_cells, turns: 0}\n"
    )
    assert _errors(text) == [
        "p.yaml:1:10: version: version 2 is not known. This memoryflow reads 'version: 1'.",
        "p.yaml:2:7: name: 'Toy!' is not a name. "
        "Write a lower-case letter, then lower-case letters, digits and '_'.",
        "p.yaml:3:1: stesp: unknown key 'stesp'. Did you mean 'steps'?",
        "p.yaml:4:9: input.max_text_char: unknown key 'max_text_char'. "
        "Did you mean 'max_text_chars'?",
        "p.yaml:5:20: runtime.workers: should be greater than or equal to 1, not 0",
        "p.yaml:7:34: steps[0].turn: operator 'toy_cells' has no parameter 'turn'. "
        "Did you mean 'turns'?",
        "p.yaml:8:41: steps[1].turns: should be greater than or equal to 1, not 0",
    ]


def test_missing_header_keys() -> None:
    assert _errors("description: x\n") == [
        "p.yaml:1:1: version: 'version' is missing. Add 'version: 1'.",
        "p.yaml:1:1: name: 'name' is missing",
        f"p.yaml:1:1: steps: 'steps' is missing. List the steps. Known operators: {NAMES}.",
    ]


def test_version_must_be_the_number() -> None:
    assert "version '1' is not known" in _errors("version: '1'\nname: a\nsteps: []\n")[0]


def test_an_unknown_input_format() -> None:
    assert _errors(TOY_YAML + "input: {format: share_gpt}\n") == [
        "p.yaml:20:17: input.format: there is no input format 'share_gpt'. Did you mean 'sharegpt'?"
    ]


def test_a_pipeline_needs_steps() -> None:
    head = "version: 1\nname: toy\n"
    assert _errors(head + "steps: []\n") == [
        "p.yaml:3:8: steps: a pipeline needs at least one step"
    ]
    assert _errors(head + "steps: 5\n")[0].startswith("p.yaml:3:8: steps: should be a list")


@pytest.mark.parametrize(
    ("text", "what"), [("", "is empty"), ("- a\n", "is not a mapping"), ("x", "is not a mapping")]
)
def test_a_document_must_be_a_mapping(text: str, what: str) -> None:
    assert _errors(text) == [f"p.yaml:1:1: the pipeline {what}. Start with 'version: 1'."]


def test_keys_of_ones_own_hold_anchors() -> None:
    text = (
        "version: 1\nname: toy\nx-common: &common {operator: toy_cells}\n"
        "steps:\n  - {id: a, <<: *common, turns: 5}\n"
    )
    assert _load(text).spec.steps[0].operator == ToyCells(turns=5)
    assert _errors("version: 1\nname: toy\ncommon: 1\nsteps: [{id: a, operator: toy_cells}]\n") == [
        "p.yaml:3:1: common: unknown key 'common'. For a key of your own write 'x-common'."
    ]


def test_duplicate_keys_stop_a_valid_pipeline() -> None:
    assert _step_errors("{id: a, id: b, operator: toy_cells}") == [
        "p.yaml:4:13: steps[0].id: 'id' is given twice (first on line 4). Keep one."
    ]


def test_load_reads_files(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + TOY_YAML.encode())
    assert load(path, KNOWN).spec == load(str(path), KNOWN).spec == _load(TOY_YAML).spec


def _load_error(source: str | Path) -> str:
    with pytest.raises(PipelineError) as caught:
        load(source, KNOWN)
    return str(caught.value)


def test_unusable_files(tmp_path: Path) -> None:
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"a: 1\nb: caf\xe9\n")
    assert _load_error(latin) == f"{latin}:2:7: is not valid UTF-8. Save it as UTF-8."
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * (256 * 1024 + 1))
    assert _load_error(large) == f"{large}: is larger than 262144 bytes"
    assert _load_error(tmp_path) == f"{tmp_path}: is a folder, not a YAML file"
    assert _load_error(str(tmp_path / "none.yaml")).endswith("none.yaml: no such file")
    assert "cannot be read" in _load_error("a\0.yaml")


def test_an_unknown_shipped_name() -> None:
    assert _load_error("conversation_memry") == (
        "conversation_memry: there is no shipped pipeline 'conversation_memry'. "
        "Did you mean 'conversation_memory'? "
        "A file is given by its path, such as ./conversation_memry.yaml."
    )
    assert _load_error("./conversation-memory.yaml") == (
        "./conversation-memory.yaml: no such file. Did you mean 'conversation_memory'?"
    )


@pytest.mark.parametrize("name", ["../pyproject", "..", "a/../../b", "conversation_memory/.."])
def test_a_name_cannot_leave_the_folder(name: str) -> None:
    # Not bare names, so plain paths from the working folder, never from the shipped one.
    assert str(SHIPPED) not in _load_error(name)


def test_errors_survive_pickling_and_json() -> None:
    with pytest.raises(PipelineError) as caught:
        _load("version: 2\n")
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.problems == caught.value.problems
    assert str(again) == str(caught.value)
    first = json.loads(json.dumps(again.problems[0].to_json()))
    assert (first["line"], first["column"], first["path"]) == (1, 1, "name")
