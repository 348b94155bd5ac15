"""From a YAML path, or the bare name of a shipped pipeline, to a typed spec.

Every problem is reported at once, with file, line, column and a suggestion.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from operators.base import Operator
from pipelines.errors import PipelineError, Problem, did_you_mean, did_you_mean_or_list, shortened
from pipelines.messages import explain_error
from pipelines.registry import operators as registered_operators
from pipelines.spec import EXTENSION_PREFIX, PipelineSpec, StepSpec, document_model
from pipelines.yaml_nodes import MAX_BYTES, Document, parse

SHIPPED = FilePath(__file__).parent

_BARE_NAME = re.compile(r"[a-z0-9_]+")
# Refused although pydantic would convert: `workers: "2"`, `turns: true`.
_NO_CONVERSION = frozenset({"int_type", "float_type", "bool_type", "string_type"})


@dataclass(frozen=True)
class LoadedPipeline:
    """A valid spec, the document it came from (for positions) and the operators known."""

    spec: PipelineSpec
    document: Document
    operators: Mapping[str, type[Operator]]


def shipped_pipelines() -> list[str]:
    """Names of the pipelines that come with memoryflow."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def load(
    source: str | FilePath, operators: Mapping[str, type[Operator]] | None = None
) -> LoadedPipeline:
    """Load a pipeline from a YAML file or by the name of a shipped one.

    Raises:
        PipelineError: with every problem of the file.
    """
    path = _resolve(source)
    file = str(source) if path.parent != SHIPPED else str(path)
    return loads(_read(path, file), file, operators)


def loads(
    text: str, file: str = "<pipeline>", operators: Mapping[str, type[Operator]] | None = None
) -> LoadedPipeline:
    """Load a pipeline from YAML text; `file` names it in errors.

    Raises:
        PipelineError: with every problem of the text.
    """
    known = registered_operators() if operators is None else operators
    document = parse(text, file)
    if not isinstance(document.value, dict):
        what = "is empty" if document.value is None else "is not a mapping"
        raise PipelineError(
            [
                *document.problems,
                document.problem((), f"the pipeline {what}", "Start with 'version: 1'."),
            ]
        )
    raw = cast("dict[str, Any]", document.value)
    raw = {key: value for key, value in raw.items() if not key.startswith(EXTENSION_PREFIX)}
    problems = [*document.problems, *_duplicate_ids(raw, document)]
    model = document_model(known)
    text = json.dumps(raw)
    problems += [explain_error(error, raw, document, known) for error in _errors(model, text)]
    if problems:
        raise PipelineError(problems)
    header = model.model_validate_json(text)
    steps = tuple(_step(step, known) for step in raw["steps"])
    fields = {name: getattr(header, name) for name in type(header).model_fields if name != "steps"}
    return LoadedPipeline(PipelineSpec(**fields, steps=steps), document, known)


def _errors(model: type[BaseModel], text: str) -> list[ErrorDetails]:
    """What is wrong with a document, including numbers and truth values written as others."""
    found: dict[tuple[int | str, ...], ErrorDetails] = {}
    for strict in (False, True):
        try:
            model.model_validate_json(text, strict=strict)
        except ValidationError as error:
            for details in error.errors(include_url=False):
                if not strict or details["type"] in _NO_CONVERSION:
                    found.setdefault(details["loc"], details)
    return list(found.values())


def _step(raw: dict[str, Any], known: Mapping[str, type[Operator]]) -> StepSpec:
    parameters = json.dumps({key: value for key, value in raw.items() if key != "id"})
    operator = known[raw["operator"]].model_validate_json(parameters)
    return StepSpec(id=raw["id"], operator=operator)


def _resolve(source: str | FilePath) -> FilePath:
    names = shipped_pipelines()
    if isinstance(source, str) and _BARE_NAME.fullmatch(source):
        # Looked up in a list, never joined to a path first: a name cannot leave the folder.
        if source in names:
            return SHIPPED / f"{source}.yaml"
        hint = did_you_mean_or_list(source, names, "pipelines")
        raise PipelineError.without_position(
            source,
            f"there is no shipped pipeline '{source}'",
            f"{hint} A file is given by its path, such as ./{source}.yaml.",
        )
    return FilePath(source)


def _read(path: FilePath, file: str) -> str:
    if path.is_dir():
        raise PipelineError.without_position(file, "is a folder, not a YAML file")
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        hint = did_you_mean(path.stem, shipped_pipelines())
        raise PipelineError.without_position(file, "no such file", hint) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the path.
        raise PipelineError.without_position(file, f"cannot be read: {error}") from error
    if len(data) > MAX_BYTES:
        raise PipelineError.without_position(file, f"is larger than {MAX_BYTES} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        problem = Problem(file, line, column, "", "is not valid UTF-8", "Save it as UTF-8.")
        raise PipelineError([problem]) from error


def _duplicate_ids(raw: dict[str, Any], document: Document) -> list[Problem]:
    """Steps that take the id of an earlier one; checked here, beside all other problems."""
    steps: Any = raw.get("steps")
    problems: list[Problem] = []
    seen: dict[str, int] = {}
    for index, step in enumerate(cast("list[Any]", steps) if isinstance(steps, list) else []):
        name: Any = cast("dict[str, Any]", step).get("id") if isinstance(step, dict) else None
        if not isinstance(name, str):
            continue
        if name in seen:
            line = document.values["steps", seen[name], "id"].line
            problems.append(
                document.problem(
                    ("steps", index, "id"),
                    f"the step id '{shortened(name)}' is already used on line {line}",
                    "Give each step its own id.",
                )
            )
        seen.setdefault(name, index)
    return problems
