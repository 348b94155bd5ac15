"""What a changed pipeline recomputes: a plan against the one a warehouse was built with."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

from operators.base import Cost, Key
from pipelines.plan import Plan, PlanStep, plan_record
from schemas.message import canonical_json

_ABSENT = "(none)"


@dataclass(frozen=True)
class RecordedCalls:
    """Distinct calls, their tokens sent and received, and what they cost in US dollars."""

    calls: int
    tokens: int
    dollars: float


class WarehouseStats(Protocol):
    """What `explain` asks of a warehouse."""

    def conversations(self) -> int:
        """Conversations with current messages."""
        ...

    def sessions(self) -> int:
        """Rows of `sessions`."""
        ...

    def texts(self) -> int:
        """Distinct texts of facts, per conversation."""
        ...

    def model_calls(self) -> Mapping[str, RecordedCalls]:
        """Model calls that the memory there rests on, by step."""
        ...

    def last_plan(self) -> Mapping[str, Any] | None:
        """`runs.plan` of the last run that is done, decoded; None where there is none."""
        ...


@dataclass(frozen=True)
class StepChange:
    """Whether a step is computed again, why, and for how many keys.

    `keys` is the number of keys of `key` in the warehouse; `model_calls` the most that this
    can cost: a call whose input is unchanged is answered from the recorded artifacts.
    """

    step: str
    status: str  # unchanged, recompute or removed
    reasons: tuple[str, ...]
    key: str | None
    keys: int
    model_calls: int

    @property
    def recompute(self) -> bool:
        """Whether the step runs again."""
        return self.status == "recompute"


def compare(plan: Plan, stats: WarehouseStats) -> tuple[StepChange, ...]:
    """Every step of the plan, then the removed ones, against the last finished run."""
    recorded = stats.last_plan() or {}
    wanted = plan_record(plan)
    counts = {
        Key.CONVERSATION: stats.conversations(),
        Key.SESSION: stats.sessions(),
        Key.TEXT: stats.texts(),
    }
    changes: list[StepChange] = []
    dirty: set[str] = set()
    for step in plan.steps:
        reasons = _reasons(step, wanted[step.id], recorded.get(step.id), dirty)
        if reasons:
            dirty.add(step.id)
        keys = counts[step.key] if reasons else 0
        calls = keys if step.cost is not Cost.NONE else 0
        status = "recompute" if reasons else "unchanged"
        changes.append(StepChange(step.id, status, reasons, step.key.value, keys, calls))
    changes += [
        StepChange(name, "removed", ("no longer in the pipeline",), None, 0, 0)
        for name in recorded
        if name not in wanted
    ]
    return tuple(changes)


def _reasons(
    step: PlanStep, wanted: Mapping[str, Any], recorded: Mapping[str, Any] | None, dirty: set[str]
) -> tuple[str, ...]:
    if recorded is None:
        return ("new step",)
    reasons: list[str] = []
    if wanted["fingerprint"] != recorded.get("fingerprint"):
        reasons += _own_reasons(wanted, recorded)
    if wanted["chained"] != recorded.get("chained"):
        upstream = [name for name in step.upstream if name in dirty]
        reasons += [f"upstream step '{name}' changed" for name in upstream]
        if not reasons:
            reasons.append("its input comes from other steps than before")
    return tuple(reasons)


def _own_reasons(wanted: Mapping[str, Any], recorded: Mapping[str, Any]) -> list[str]:
    if wanted["operator"] != recorded.get("operator"):
        return [f"operator {recorded.get('operator')} -> {wanted['operator']}"]
    reasons: list[str] = []
    if wanted["version"] != recorded.get("version"):
        reasons.append(f"version {recorded.get('version')} -> {wanted['version']}")
    new = _flat(wanted["parameters"])
    old = _flat(recorded.get("parameters") or {})
    reasons += [
        f"parameter {name}: {_shown(old, name)} -> {_shown(new, name)}"
        for name in sorted({*new, *old})
        if _shown(old, name) != _shown(new, name)
    ]
    return reasons or ["fingerprint changed"]


def _flat(parameters: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Parameters by dotted name, so that a change inside one is named precisely."""
    flat: dict[str, Any] = {}
    for name, value in parameters.items():
        if isinstance(value, dict):
            flat |= _flat(cast("dict[str, Any]", value), f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _shown(parameters: Mapping[str, Any], name: str) -> str:
    return canonical_json(parameters[name]) or "null" if name in parameters else _ABSENT
