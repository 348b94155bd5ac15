"""`memoryflow validate`: is this pipeline usable, and if not, where and why."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from operators.base import Operator
from pipelines.errors import PipelineError, Problem
from pipelines.load import load
from pipelines.plan import Plan, make_plan
from pipelines.registry import operators as registered_operators
from pipelines.spec import json_schema_text

EXIT_OK = 0
EXIT_INVALID = 2


@dataclass(frozen=True)
class Validation:
    """Outcome: the plan, or the problems that prevent one; warnings either way."""

    source: str
    plan: Plan | None
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 where the pipeline is usable, else 2."""
        return EXIT_INVALID if self.problems else EXIT_OK

    def to_text(self) -> str:
        """For people: a line per problem, and a verdict."""
        lines = [f"error: {problem}" for problem in self.problems]
        lines += [f"warning: {warning}" for warning in self.warnings]
        if self.plan is not None:
            count = len(self.plan.steps)
            steps = "1 step" if count == 1 else f"{count} steps"
            lines.append(f"{self.source}: valid, {steps}, fingerprint {self.plan.fingerprint}")
        else:
            count = len(self.problems)
            lines.append(f"{self.source}: {count} error{'s' if count != 1 else ''}")
        return "\n".join(lines)

    def to_json(self) -> str:
        """For machines."""
        body: dict[str, Any] = {
            "source": self.source,
            "valid": self.plan is not None,
            "name": self.plan.name if self.plan else None,
            "fingerprint": self.plan.fingerprint if self.plan else None,
            "steps": [step.id for step in self.plan.steps] if self.plan else [],
            "errors": [problem.to_json() for problem in self.problems],
            "warnings": [warning.to_json() for warning in self.warnings],
        }
        return json.dumps(body, ensure_ascii=False, indent=2)


def validate(source: str, operators: Mapping[str, type[Operator]] | None = None) -> Validation:
    """Check a pipeline, by file or shipped name; never raises for what is wrong with it."""
    try:
        plan = make_plan(load(source, operators))
    except PipelineError as error:
        return Validation(source, None, tuple(error.problems))
    return Validation(source, plan, (), plan.warnings)


def schema_text(operators: Mapping[str, type[Operator]] | None = None) -> str:
    """JSON Schema of a pipeline YAML over the installed operators, for editors."""
    return json_schema_text(registered_operators() if operators is None else operators)
