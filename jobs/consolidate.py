"""`memoryflow consolidate`: the sleep-time job.

Brings conversations up to the plan without new input (offline consolidation, LightMem):
those of which a stream has put off the steps over whole conversations
(`streaming.consolidate: session_end`), those that another plan has built, and those on which
a step had failed. It is a build without input, so what it costs follows from what changed:
steps whose stamp stands are not computed again.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from jobs.batch.build import BuildReport, BuildRequest, bring_up_to_date
from jobs.batch.input_ledger import InputLedger
from jobs.batch.progress import Progress
from jobs.batch.reading import ReadOptions
from jobs.batch.state import load_state
from jobs.errors import UsageError
from jobs.llm_gateways import NO_LIMITS, Limits
from pipelines.plan import Plan
from pipelines.slice_changes import WHOLE_PLAN
from transforms.frame import Conversation
from transforms.step_time import MILLISECONDS, SLICES
from transforms.warehouse.connection import Warehouse
from transforms.warehouse.erasure import finish_pending_erasure


@dataclass(frozen=True)
class StepReport:
    """What became of one step: keys computed and kept, and the time in its operator."""

    computed: int
    kept: int
    seconds: float


@dataclass(frozen=True)
class ConsolidationReport:
    """What a consolidation did.

    Attributes:
        conversations: brought up to date.
        left: conversations behind the plan that were not asked for.
        steps: by id, in the order of the plan.
        worker_seconds: time of the workers, with reading what is recorded and comparing.
        seconds: from the engine's start to the last commit.
        commits: transactions; 0 where there was nothing to do.
        spent: calls, tokens and cost of language models.
        stopped: why it ended before everything was built: a budget was used up.
    """

    conversations: int = 0
    left: int = 0
    steps: dict[str, StepReport] = field(default_factory=dict[str, StepReport])
    worker_seconds: float = 0.0
    seconds: float = 0.0
    commits: int = 0
    spent: Mapping[str, float] = field(default_factory=dict[str, float])
    stopped: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return asdict(self)

    def to_text(self) -> str:
        """The report for people."""
        behind = f"; {self.left:,} more are behind the pipeline" if self.left else ""
        if not self.commits:
            return f"nothing to do: every conversation asked for is up to date{behind}"
        return "\n".join(
            [
                f"{self.conversations:,} conversations in {self.seconds:.1f} s, by workers in "
                f"{self.worker_seconds:.1f} s{behind}",
                *(
                    f"{name}: {step.computed:,} computed, {step.kept:,} kept, {step.seconds:.2f} s"
                    for name, step in self.steps.items()
                ),
            ]
        )


def consolidate(
    warehouse: Warehouse,
    plan: Plan,
    *,
    workers: int | None,
    conversation: str | None = None,
    address: str | None = None,
    quiet: bool = True,
    limits: Limits = NO_LIMITS,
) -> ConsolidationReport:
    """Bring what is behind `plan` up to it; `conversation`: only those of this id.

    Nothing is started, and nothing written, where nothing is behind. Safe to run again,
    also after a kill, or once a budget (`limits`) has ended it.

    Raises:
        UsageError: there is no such conversation.
        EngineError: Ray or a model failed for good.
    """
    finish_pending_erasure(warehouse)
    state = load_state(warehouse, plan)
    behind = sorted({*state.stale, *_failed(warehouse)})
    wanted = _wanted(warehouse, behind, conversation)
    left = len(behind) - len(wanted)
    if not wanted:
        return ConsolidationReport(left=left)
    request = BuildRequest(
        plan, [], ReadOptions(), workers, address, limits=limits, job="consolidate"
    )
    watch = _StopWatch(quiet=quiet)
    done = bring_up_to_date(
        warehouse,
        request,
        replace(state, stale=wanted),
        InputLedger.take([], plan.fingerprint),
        watch,
        complete=not left,
    )
    return _report(plan, done, len(wanted), left, watch.seconds)


class _StopWatch(Progress):
    """Progress that can tell how long the build took."""

    def __init__(self, *, quiet: bool) -> None:
        super().__init__(quiet=quiet)
        self.seconds = 0.0

    def started(self) -> None:
        """The engine is up."""
        super().started()
        self._since = time.monotonic()

    def finished(self) -> None:
        """Everything is committed."""
        super().finished()
        self.seconds = time.monotonic() - self._since


def _failed(warehouse: Warehouse) -> list[Conversation]:
    """Conversations that no build has finished, since a step failed on them."""
    rows = warehouse.rows(
        "SELECT DISTINCT tenant, conversation_id FROM messages "
        "EXCEPT SELECT tenant, conversation_id FROM stamps WHERE step = ?",
        [WHOLE_PLAN],
    )
    return [(tenant, conversation) for tenant, conversation in rows]


def _wanted(
    warehouse: Warehouse, behind: Sequence[Conversation], conversation: str | None
) -> list[Conversation]:
    if conversation is None:
        return list(behind)
    known = warehouse.rows("FROM messages WHERE conversation_id = ? LIMIT 1", [conversation])
    if not known:
        raise UsageError(f"{warehouse.path}: there is no conversation {conversation!r}")
    return [found for found in behind if found[1] == conversation]


def _report(
    plan: Plan, done: BuildReport, conversations: int, left: int, seconds: float
) -> ConsolidationReport:
    counters = done.counters
    steps = {
        step.id: StepReport(
            counters[step.id]["computed"],
            counters[step.id]["kept"],
            counters[step.id][MILLISECONDS] / 1000,  # 0, as a counter, where it did not run.
        )
        for step in plan.steps
        if step.id in counters
    }
    in_slices = counters.get(SLICES, {}).get(MILLISECONDS, 0) / 1000
    return ConsolidationReport(
        *(conversations, left, steps, in_slices, seconds, done.commits, done.spent, done.stopped)
    )
