"""A spec as an executable plan: checked data flow, and a fingerprint for every step.

A step's chained fingerprint covers its operator and, through the steps that wrote what it
reads, everything upstream. Equal chained fingerprint and equal messages mean equal rows,
so it decides what an incremental run may reuse. Reads are tracked by column: a step that
reads `facts.text` does not depend on one that judges `facts.status`.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path as FilePath
from typing import Any

from operators.base import Cost, Key, Operator
from operators.replay.spec import ReplaySpec
from pipelines.errors import Path, PipelineError, Problem
from pipelines.load import LoadedPipeline, load, loads
from pipelines.spec import InputSpec, PipelineSpec, RuntimeSpec, StreamingSpec
from schemas.ids import content_hash
from schemas.message import canonical_json
from transforms.step import table_of

INPUT_TABLE = "messages"
APPENDABLE = frozenset({"links", "artifacts"})  # Several steps may each add rows.
INTERMEDIATE = frozenset({"cells"})  # Only there for later steps; no query reads them.
_SESSION_COLUMN = "messages.session_id"  # What groups the rows of a step with Key.SESSION.


@dataclass(frozen=True)
class PlanStep:
    """One step: what it computes, from which steps' output, and its fingerprints."""

    id: str
    operator: Operator
    upstream: tuple[str, ...]
    fingerprint: str
    chained_fingerprint: str
    overwritten: tuple[str, ...] = ()

    @property
    def reads(self) -> tuple[str, ...]:
        """Tables and `table.column`s it reads."""
        return self.operator.reads()

    @property
    def writes(self) -> tuple[str, ...]:
        """Tables and `table.column`s it writes."""
        return self.operator.writes()

    @property
    def key(self) -> Key:
        """The unit of work."""
        return self.operator.KEY

    @property
    def cost(self) -> Cost:
        """The dearest thing it calls."""
        return self.operator.cost()


@dataclass(frozen=True)
class Plan:
    """The steps in order, with what the rest of the system asks of them."""

    name: str
    description: str
    input: InputSpec
    runtime: RuntimeSpec
    steps: tuple[PlanStep, ...]
    streaming: StreamingSpec = field(default_factory=StreamingSpec)
    replay: ReplaySpec = field(default_factory=ReplaySpec)
    warnings: tuple[Problem, ...] = field(default=(), compare=False)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all that decides the memory: input rules and steps, not name or runtime."""
        # Sorted: the order of steps counts only through the data flow, which is in each one.
        steps = sorted(f"{step.id}={step.chained_fingerprint}" for step in self.steps)
        return content_hash("plan", canonical_json(self.input.model_dump(mode="json")), *steps)

    @cached_property
    def tables(self) -> tuple[str, ...]:
        """Tables the steps write, in order of first writing, without the input."""
        written = [table_of(ref) for step in self.steps for ref in step.writes]
        return tuple(dict.fromkeys(name for name in written if name != INPUT_TABLE))

    def step(self, step_id: str) -> PlanStep:
        """The step of this id; KeyError where there is none."""
        for step in self.steps:
            if step.id == step_id:
                return step
        raise KeyError(step_id)

    def downstream(self, step_id: str) -> tuple[str, ...]:
        """Ids of the steps that depend on `step_id`, directly or not, in order."""
        dirty = {self.step(step_id).id}
        for step in self.steps:
            if dirty.intersection(step.upstream):
                dirty.add(step.id)
        return tuple(s.id for s in self.steps if s.id in dirty and s.id != step_id)


def plan(source: str | FilePath, operators: Mapping[str, type[Operator]] | None = None) -> Plan:
    """Load and plan in one call; raises PipelineError with every problem."""
    return make_plan(load(source, operators))


def make_plan(loaded: LoadedPipeline) -> Plan:
    """Check the data flow of a loaded pipeline and fingerprint its steps.

    Raises:
        PipelineError: a step reads what no earlier step writes, or two steps write the same.
    """
    flow = _Flow(loaded)
    steps = [flow.add(index) for index in range(len(loaded.spec.steps))]
    if flow.problems:
        raise PipelineError(flow.problems)
    steps = [_with_overwritten(step, steps[place:]) for place, step in enumerate(steps, 1)]
    spec = loaded.spec
    warnings = (*flow.overwritten(), *flow.unread_intermediates())
    return Plan(
        spec.name,
        spec.description,
        spec.input,
        spec.runtime,
        tuple(steps),
        spec.streaming,
        spec.replay,
        warnings,
    )


def _with_overwritten(step: PlanStep, later: Iterable[PlanStep]) -> PlanStep:
    written = {name for other in later for name in other.writes}
    return replace(step, overwritten=tuple(n for n in step.writes if "." in n and n in written))


def plan_record(plan: Plan) -> dict[str, dict[str, Any]]:
    """What `runs.plan` keeps of a plan, for a later `explain` to compare with."""
    return {
        step.id: {
            "operator": step.operator.operator,
            "version": step.operator.VERSION,
            "parameters": parameters_of(step.operator),
            "fingerprint": step.fingerprint,
            "chained": step.chained_fingerprint,
        }
        for step in plan.steps
    }


def plan_spec(plan: Plan) -> str:
    """The pipeline as JSON, from which `restored_plan` makes the same plan again."""
    body = {
        "version": 1,
        "name": plan.name,
        "description": plan.description,
        "input": plan.input.model_dump(mode="json"),
        "runtime": plan.runtime.model_dump(mode="json"),
        "streaming": plan.streaming.model_dump(mode="json"),
        "replay": plan.replay.model_dump(mode="json"),
        "steps": [{"id": s.id, **s.operator.model_dump(mode="json")} for s in plan.steps],
    }
    return json.dumps(body, sort_keys=True)


def restored_plan(spec: str, operators: Mapping[str, type[Operator]] | None = None) -> Plan:
    """The plan of a recorded pipeline; PipelineError where its operators are gone or differ."""
    return make_plan(loads(spec, "the recorded pipeline", operators))


def parameters_of(operator: Operator) -> dict[str, Any]:
    """The parameters in the fingerprint, without the operator's name."""
    parameters = operator.fingerprint_parameters()
    return {name: value for name, value in parameters.items() if name != "operator"}


class _Flow:
    """Who wrote what so far, while steps are added in order."""

    def __init__(self, loaded: LoadedPipeline) -> None:
        self._loaded = loaded
        self._spec: PipelineSpec = loaded.spec
        self._chained: dict[str, str] = {}
        # Steps that wrote a table whole, and the latest that wrote one of its columns.
        self._whole: dict[str, list[str]] = {INPUT_TABLE: []}
        self._columns: dict[str, list[str]] = {}
        self._unread: dict[tuple[str, str], int] = {}  # (step, ref) not read so far.
        self._index = {step.id: i for i, step in reversed(list(enumerate(self._spec.steps)))}
        self.problems: list[Problem] = []
        self._overwritten: list[tuple[int, str, int]] = []

    def add(self, index: int) -> PlanStep:
        step = self._spec.steps[index]
        operator = step.operator
        reads = [*operator.reads()]
        if operator.KEY is Key.SESSION and _SESSION_COLUMN not in reads:
            reads.append(_SESSION_COLUMN)
        for ref in reads:
            self._check_read(index, ref)
        for ref in operator.writes():
            self._check_write(index, ref)
        # An enriched table keeps its other rows and columns, so it also depends on its maker.
        enriched = [table_of(ref) for ref in operator.writes() if "." in ref]
        upstream = {
            *(name for ref in operator.reads() for name in self._writers(ref)),
            *(name for table in enriched for name in self._whole.get(table, ())),
        }
        if operator.KEY is Key.SESSION:
            # Its rows are grouped by session, even where it does not read the column.
            upstream.update(self._columns.get(_SESSION_COLUMN, ())[-1:])
        upstream.discard(step.id)
        ordered = tuple(sorted(upstream, key=lambda name: self._index[name]))
        fingerprint = operator.fingerprint()
        chained = content_hash("step", fingerprint, *sorted(self._chained[n] for n in ordered))
        self._note_reads(reads)
        self._note_writes(step.id, index, operator.writes())
        self._chained[step.id] = chained
        return PlanStep(step.id, operator, ordered, fingerprint, chained)

    def overwritten(self) -> list[Problem]:
        """Warnings: output that a later step replaces before any step reads it."""
        return [
            self._problem(
                index,
                f"step '{self._spec.steps[index].id}' writes {ref}, which step "
                f"'{self._spec.steps[later].id}' replaces before any step reads it",
                "Remove one of the two steps.",
            )
            for index, ref, later in self._overwritten
        ]

    def unread_intermediates(self) -> list[Problem]:
        """Warnings: steps all of whose output is for later steps, and none reads it."""
        warnings: list[Problem] = []
        for index, step in enumerate(self._spec.steps):
            writes = step.operator.writes()
            unread = all((step.id, ref) in self._unread for ref in writes)
            if unread and INTERMEDIATE.issuperset(writes):
                message = f"step '{step.id}' is unused: no later step reads {', '.join(writes)}"
                warnings.append(
                    self._problem(index, message, "Remove it, or add the step that reads it.")
                )
        return warnings

    def _writers(self, ref: str) -> Iterable[str]:
        """Steps the content of `ref` comes from, by the latest writer of each part."""
        table = table_of(ref)
        if "." in ref:
            return self._columns.get(ref, self._whole.get(table, []))[-1:]
        columns = [n for c, names in self._columns.items() if table_of(c) == table for n in names]
        return [*self._whole.get(table, ()), *columns]

    def _check_read(self, index: int, ref: str) -> None:
        table, step = table_of(ref), self._spec.steps[index]
        if table not in self._whole:
            message = f"step '{step.id}' reads {ref}, but no earlier step writes {table}"
            hint = self._writer_hint(index, table)
            self.problems.append(self._problem(index, message, hint))
        elif ref == _SESSION_COLUMN and ref not in self._columns:
            message = f"step '{step.id}' works by session, but no earlier step writes {ref}"
            hint = self._writer_hint(index, ref)
            self.problems.append(self._problem(index, message, hint))

    def _check_write(self, index: int, ref: str) -> None:
        table, step = table_of(ref), self._spec.steps[index]
        if "." in ref:
            if table not in self._whole and table not in step.operator.writes():
                message = f"step '{step.id}' fills in {ref}, but no earlier step writes {table}"
                hint = self._writer_hint(index, table)
                # A step that also reads the table was told so already.
                if not any(table_of(read) == table for read in step.operator.reads()):
                    self.problems.append(self._problem(index, message, hint))
        elif table == INPUT_TABLE:
            message = f"step '{step.id}' writes {table}, which is the input"
            self.problems.append(self._problem(index, message, "A step may add columns to it."))
        elif table in self._whole and table not in APPENDABLE:
            first = self._whole[table][0]
            line = self._line(self._index[first])
            message = f"step '{step.id}' writes {table}, as step '{first}' (line {line}) does"
            self.problems.append(self._problem(index, message, "Keep one of the two steps."))

    def _writer_hint(self, index: int, ref: str) -> str | None:
        """Where `ref` could come from: a step further down, or a known operator."""
        for step in self._spec.steps[index + 1 :]:
            if ref in step.operator.writes():
                return f"Move it after step '{step.id}' (line {self._line(self._index[step.id])})."
        makers = sorted(n for n, op in self._loaded.operators.items() if ref in op.WRITES)
        quoted = " or ".join(f"'{name}'" for name in makers)
        return f"Add a step before it with operator {quoted}." if makers else None

    def _note_reads(self, reads: Iterable[str]) -> None:
        for ref in reads:
            table = table_of(ref)
            for step_id, written in list(self._unread):
                same_table = table_of(written) == table
                if same_table and ("." not in ref or "." not in written or ref == written):
                    del self._unread[step_id, written]

    def _note_writes(self, step_id: str, index: int, writes: Iterable[str]) -> None:
        for ref in writes:
            table = table_of(ref)
            if "." in ref:
                for earlier_id, written in list(self._unread):
                    if written == ref:
                        self._overwritten.append((self._unread.pop((earlier_id, ref)), ref, index))
                self._columns.setdefault(ref, []).append(step_id)
            else:
                self._whole.setdefault(table, []).append(step_id)
            self._unread[step_id, ref] = index

    def _line(self, index: int) -> int:
        return self._loaded.document.values["steps", index].line

    def _problem(self, index: int, message: str, suggestion: str | None = None) -> Problem:
        path: Path = ("steps", index)
        return self._loaded.document.problem((*path, "operator"), message, suggestion)
