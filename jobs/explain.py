"""`memoryflow explain`: what a pipeline would do, cost, and compute again."""

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs.embedding_models import shared_models
from operators.base import Cost
from pipelines.changes import RecordedCalls, StepChange, WarehouseStats, compare
from pipelines.estimate import Embed, Estimate, Sample, estimate
from pipelines.plan import Plan, PlanStep, parameters_of

_RUNS_ON = {
    Cost.NONE: "ray worker",
    Cost.EMBEDDING: "embedder actor",
    Cost.LLM: "llm actor",
}
_SHORT_HASH = 12


@dataclass(frozen=True)
class Explanation:
    """A plan, with what it would cost on an input and recompute in a warehouse.

    Attributes:
        recorded: model calls that the memory in the warehouse rests on, by step: next to an
            estimate of the same input, prediction against what it was.
    """

    plan: Plan
    estimate: Estimate | None = None
    changes: tuple[StepChange, ...] | None = None
    recorded: Mapping[str, RecordedCalls] | None = None

    def to_json(self) -> str:
        """For machines."""
        plan = self.plan
        body: dict[str, Any] = {
            "pipeline": plan.name,
            "description": plan.description,
            "fingerprint": plan.fingerprint,
            "input": plan.input.model_dump(mode="json"),
            "runtime": plan.runtime.model_dump(mode="json"),
            "steps": [_step_json(step) for step in plan.steps],
            "commit": "driver",
            "warnings": [warning.to_json() for warning in plan.warnings],
            "expected": _estimate_json(self.estimate) if self.estimate else None,
            "changes": None
            if self.changes is None
            else [asdict(change) for change in self.changes],
            "recorded_calls": None
            if self.recorded is None
            else {step: asdict(calls) for step, calls in self.recorded.items()},
        }
        return json.dumps(body, ensure_ascii=False, indent=2)

    def to_text(self, width: int | None = None) -> str:
        """For people: tables drawn with rich, without colour."""
        out = io.StringIO()
        console = Console(file=out, width=width, color_system=None, highlight=False)
        self.print(console)
        return out.getvalue()

    def print(self, console: Console) -> None:
        """Draw on a console."""
        plan = self.plan
        console.print(f"{plan.name}, fingerprint {plan.fingerprint}", markup=False)
        console.print(_plan_table(plan))
        for warning in plan.warnings:
            console.print(f"warning: {warning}", markup=False)
        if self.estimate is not None:
            console.print(_estimate_table(self.estimate, self.recorded))
            console.print(_estimate_verdict(self.estimate), markup=False)
        if self.changes is not None:
            console.print(_changes_table(self.changes))
            console.print(_changes_verdict(self.changes), markup=False)


def explain(
    plan: Plan,
    sample: Sample | None = None,
    warehouse: WarehouseStats | None = None,
    vectors: Embed | None = None,
) -> Explanation:
    """Explain a plan; with a sample of the input its cost, with a warehouse what changes.

    `vectors` embeds the sample, for a plan whose language model is asked about neighbours.
    """
    return Explanation(
        plan,
        estimate(plan, sample, vectors=vectors) if sample is not None else None,
        compare(plan, warehouse) if warehouse is not None else None,
        warehouse.model_calls() if warehouse is not None else None,
    )


def runs_on(step: PlanStep) -> str:
    """The process that does the step's work."""
    at_hand = step.cost is Cost.EMBEDDING and not shared_models((step,))
    return _RUNS_ON[Cost.NONE if at_hand else step.cost]


def _step_json(step: PlanStep) -> dict[str, Any]:
    return {
        "id": step.id,
        "operator": step.operator.operator,
        "version": step.operator.VERSION,
        "parameters": parameters_of(step.operator),
        "key": step.key.value,
        "reads": list(step.reads),
        "writes": list(step.writes),
        "upstream": list(step.upstream),
        "cost": step.cost.value,
        "runs_on": runs_on(step),
        "fingerprint": step.fingerprint,
        "chained": step.chained_fingerprint,
    }


def _estimate_json(found: Estimate) -> dict[str, Any]:
    return {
        "sampled_messages": found.sampled_messages,
        "messages": found.expected_messages,
        "embeddings": found.total(Cost.EMBEDDING),
        "llm_calls": found.total(Cost.LLM),
        "tokens": found.tokens,
        "dollars": found.dollars,
        "steps": [asdict(step) for step in found.steps],
    }


def _table(*columns: str) -> Table:
    table = Table()
    for name in columns:
        # Folded, never cut: a name that is cut cannot be copied.
        table.add_column(name, overflow="fold")
    return table


def _add(table: Table, *cells: str) -> None:
    # As Text, because brackets in a plain string would be taken for markup.
    table.add_row(*(Text(cell) for cell in cells))


def _plan_table(plan: Plan) -> Table:
    table = _table("step", "operator", "key", "reads", "writes", "cost", "runs on", "fingerprint")
    _add(table, "(read)", "", "message", plan.input.format, "messages", "none", "ray worker", "")
    for step in plan.steps:
        _add(
            table,
            step.id,
            step.operator.operator,
            step.key.value,
            "\n".join(step.reads),
            "\n".join(step.writes),
            step.cost.value,
            runs_on(step),
            step.chained_fingerprint[:_SHORT_HASH],
        )
    _add(table, "(commit)", "", "slice", "all tables", "warehouse", "none", "driver", "")
    return table


def _estimate_table(found: Estimate, recorded: Mapping[str, RecordedCalls] | None) -> Table:
    """Expected calls and tokens; beside them those that the warehouse has recorded, if any."""
    columns = ("recorded calls", "recorded tokens", "recorded $") if recorded else ()
    table = _table("step", "cost", "calls", "tokens", "$", *columns)
    for step in found.steps:
        calls = step.note or "unknown" if step.calls is None else f"{step.calls:,}"
        tokens = "" if step.tokens is None else f"{step.tokens:,}"
        done = (recorded or {}).get(step.step)
        actual = ("", "", "") if done is None else _recorded_cells(done)
        dollars = f"{step.dollars:.4f}" if step.dollars else ""
        _add(table, step.step, step.cost, calls, tokens, dollars, *actual[: len(columns)])
    return table


def _recorded_cells(done: RecordedCalls) -> tuple[str, str, str]:
    dollars = f"{done.dollars:.4f}" if done.dollars else ""
    return f"{done.calls:,}", f"{done.tokens:,}", dollars


def _estimate_verdict(found: Estimate) -> str:
    if not found.sampled_messages:
        return (
            "No message of the input could be read, so nothing can be expected of it: check it and "
            "--format. `memoryflow run` says in dead_letters what is wrong with each line."
        )
    price = f", ${found.dollars:.4f}" if found.dollars else ""
    return (
        f"Expected for about {found.expected_messages:,} messages "
        f"(sampled {found.sampled_messages:,}): {found.total(Cost.EMBEDDING):,} embeddings, "
        f"{found.total(Cost.LLM):,} LLM calls, about {found.tokens:,} tokens{price}. "
        "What is recorded already costs nothing."
    )


def _changes_table(changes: tuple[StepChange, ...]) -> Table:
    table = _table("step", "against the warehouse", "because", "keys")
    for change in changes:
        keys = f"{change.keys:,} {change.key}s" if change.recompute else ""
        _add(table, change.step, change.status, "\n".join(change.reasons), keys)
    return table


def _changes_verdict(changes: tuple[StepChange, ...]) -> str:
    again = [change.step for change in changes if change.recompute]
    if not again:
        return "Nothing to compute again."
    calls = sum(change.model_calls for change in changes)
    return f"To compute again: {', '.join(again)}; at most {calls:,} model calls."
