"""Pydantic's errors in the words of the YAML: where, what, and what to write instead."""

import json
import re
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from operators.base import Operator
from pipelines.errors import Path, Problem, did_you_mean, did_you_mean_or_list
from pipelines.spec import EXTENSION_PREFIX, PipelineSpec, is_tagged
from pipelines.yaml_nodes import Document

_SHOWN_CHARS = 60

Operators = Mapping[str, type[Operator]]


def explain_error(
    details: ErrorDetails, raw: dict[str, Any], document: Document, known: Operators
) -> Problem:
    """One validation error of a document as a positioned problem."""
    path: Path = details["loc"]
    operator = None
    if path[:1] == ("steps",) and len(path) > 1:
        step: Any = raw["steps"][path[1]]
        operator = known.get(str(step.get("operator"))) if isinstance(step, dict) else None
        if is_tagged(known) and len(path) > 2:
            path = (*path[:2], *path[3:])  # Drop the union's tag, which is not in the YAML.
    path = _in_document(path, document, keep_last=details["type"] == "missing")
    name = str(path[-1]) if path else ""
    given: Any = details["input"]
    at_key = False
    match details["type"]:
        case "extra_forbidden":
            at_key = True
            said = _unknown_key(path, name, operator)
        case "missing" if name == "operator" and len(path) == 3:
            said = "'operator' is missing", _list_of(known)
        case "missing":
            said = f"'{name}' is missing", _missing_hint(path, known)
        case "union_tag_not_found" | "union_tag_invalid":
            name = str(details.get("ctx", {}).get("discriminator", "")).strip("'")
            path = (*path, name)
            said = _wrong_tag(details, name, known)
        case "literal_error" if name == "operator" and len(path) == 3:
            said = _unknown_operator(given, known)
        case _:
            said = _wrong_value(details, path)
    return document.problem(path, *said, at_key=at_key)


def _in_document(path: Path, document: Document, *, keep_last: bool) -> Path:
    """The path without the tags of unions, which pydantic puts in; a missing key stays."""
    kept: Path = ()
    for position, part in enumerate(path):
        last = position == len(path) - 1
        if (*kept, part) in document.values or (last and keep_last):
            kept = (*kept, part)
    return kept


def _wrong_tag(details: ErrorDetails, name: str, known: Operators) -> tuple[str, str | None]:
    """No choice, or an unknown one, where a key chooses among models."""
    if details["type"] == "union_tag_not_found":
        return f"'{name}' is missing", _list_of(known) if name == "operator" else None
    given = details["input"].get(name)
    if name == "operator":
        return _unknown_operator(given, known)
    choices = re.findall(r"'([^']+)'", str(details.get("ctx", {}).get("expected_tags", "")))
    hint = did_you_mean_or_list(str(given), choices, "choices")
    return f"there is no {name} {_shown(given)}", hint


def _unknown_operator(given: object, known: Operators) -> tuple[str, str]:
    hint = did_you_mean_or_list(str(given), list(known), "operators")
    return f"there is no operator {_shown(given)}", hint


def _unknown_key(path: Path, name: str, operator: type[Operator] | None) -> tuple[str, str | None]:
    if operator is not None and len(path) == 3:
        label = operator.model_fields["operator"].default
        fields = [field for field in operator.model_fields if field != "operator"]
        message = f"operator '{label}' has no parameter '{name}'"
        return message, did_you_mean_or_list(name, fields, "parameters")
    message = f"unknown key '{name}'"
    if operator is not None and len(path) == 4:
        fields = _nested_fields(operator.model_fields[str(path[2])].annotation)
        return message, did_you_mean_or_list(name, sorted(fields), "keys") if fields else None
    if len(path) == 1:
        hint = did_you_mean(name, PipelineSpec.model_fields)
        return message, hint or f"For a key of your own write '{EXTENSION_PREFIX}{name}'."
    fields = _section_fields(path)
    return message, did_you_mean_or_list(name, fields, "keys") if fields else None


def _nested_fields(annotation: object) -> set[str]:
    """Keys of a parameter that is a mapping, of all its kinds together."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return set(annotation.model_fields)
    return {field for part in get_args(annotation) for field in _nested_fields(part)}


def _section_fields(path: Path) -> list[str]:
    """Keys of `input` or `runtime`; none for deeper paths."""
    section = PipelineSpec.model_fields.get(str(path[0]))
    fields = getattr(section.annotation, "model_fields", {}) if section else {}
    return list(fields) if len(path) == 2 else []


def _missing_hint(path: Path, known: Operators) -> str | None:
    if path == ("version",):
        return "Add 'version: 1'."
    if path == ("steps",):
        return f"List the steps. {_list_of(known)}"
    return "Give each step its own id." if path[-1] == "id" and len(path) == 3 else None


def _wrong_value(details: ErrorDetails, path: Path) -> tuple[str, str | None]:
    given: Any = details["input"]
    shown = _shown(given)
    match details["type"]:
        case "literal_error" | "enum" if path == ("version",):
            said = f"version {shown} is not known", "This memoryflow reads 'version: 1'."
        case "literal_error" | "enum":
            expected = str(details.get("ctx", {}).get("expected", ""))
            choices = re.findall(r"'([^']+)'", expected)
            hint = did_you_mean(given, choices) if isinstance(given, str) and given else None
            said = f"should be {expected}, not {shown}", hint
        case "model_type" | "dict_type":
            said = f"should be a mapping, not {shown}", None
        case "too_short" if path == ("steps",):
            said = "a pipeline needs at least one step", None
        case "string_pattern_mismatch" | "string_too_long" if path[-1:] == ("api_key_env",):
            # What was given is not shown: it may be the key itself.
            said = "is no name of an environment variable", "Name it in capitals, such as LLM_KEY."
        case "string_pattern_mismatch" if path[-1:] == ("url",):
            said = "is no address", "Write it like http://127.0.0.1:8000/v1."
        case "string_pattern_mismatch":
            rule = "a lower-case letter, then lower-case letters, digits and '_'"
            said = f"{shown} is not a name", f"Write {rule}."
        case "value_error" | "assertion_error":
            said = details["msg"].partition(", ")[2], None
        case _:
            message = details["msg"].removeprefix("Input ").replace("valid array", "list")
            message = message.partition(", unable to parse")[0]
            said = f"{message[:1].lower()}{message[1:]}, not {shown}", None
    return said


def _list_of(known: Operators) -> str:
    return f"Known operators: {', '.join(sorted(known))}."


def _shown(value: object) -> str:
    if isinstance(value, str):
        text = f"'{value}'"
    else:
        text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 3] + "..."
