"""`memoryflow run`: brings a warehouse up to date with a log, on Ray."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayError

from jobs.batch.committer import Committer
from jobs.batch.input_ledger import InputLedger
from jobs.batch.llm_actors import LlmActors
from jobs.batch.models import embedder_counts, start_embedders
from jobs.batch.progress import Progress
from jobs.batch.ray_failures import build_failure, start_reason
from jobs.batch.ray_session import ray_session
from jobs.batch.reading import Partitioned, ReadOptions, read_partitions, too_bad
from jobs.batch.recorded_sizes import with_recorded
from jobs.batch.slices import Slice, cut_slices
from jobs.batch.state import WarehouseState, load_state
from jobs.batch.workers import SliceReport, SliceWorker, WorkerSetup, start_workers
from jobs.erasure_marks import without_erased
from jobs.errors import EngineError, TooMuchBadInputError
from jobs.llm_gateways import NO_LIMITS, Limits
from jobs.worker_count import embedder_count
from operators.embedding.model_id import MODEL_ID
from operators.llm.errors import BudgetReachedError
from pipelines.plan import Plan
from transforms.sources.files import InputFile
from transforms.warehouse.commit import insert_new
from transforms.warehouse.connection import JOURNAL_DIR, Warehouse
from transforms.warehouse.erasure import finish_pending_erasure
from transforms.warehouse.maintenance import maintain, needs_maintenance


@dataclass(frozen=True)
class BuildRequest:
    """What to build: a plan, the input, and how many workers may work.

    Attributes:
        max_bad: stop once there are more dead letters from reading; None never stops.
        address: Ray cluster to run on; None starts a local Ray.
        commit_bytes: commit once so much is finished.
        worker: what builds the slices.
        limits: what language models may cost.
    """

    plan: Plan
    files: Sequence[InputFile]
    options: ReadOptions
    workers: int
    address: str | None = None
    max_bad: int | None = None
    commit_bytes: int = 64 * 1024 * 1024
    worker: type[SliceWorker] = SliceWorker
    limits: Limits = NO_LIMITS


@dataclass
class BuildReport:
    """What a run did, for people and for `runs.counters`.

    Attributes:
        stopped: why it ended before everything was built: a budget was used up.
        spent: calls, tokens and cost of language models.
    """

    counters: dict[str, Counter[str]] = field(default_factory=dict[str, Counter[str]])
    slices: int = 0
    commits: int = 0
    skipped: bool = False
    stopped: str | None = None
    spent: Mapping[str, float] = field(default_factory=dict[str, float])

    def add(self, counters: Mapping[str, Mapping[str, int]]) -> None:
        """Add the counts of a slice."""
        for step, counts in counters.items():
            self.counters.setdefault(step, Counter()).update(counts)

    def to_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return {
            "counters": {step: dict(sorted(c.items())) for step, c in self.counters.items()},
            "slices": self.slices,
            "commits": self.commits,
            "skipped": self.skipped,
            "stopped": self.stopped,
            "spent": dict(self.spent),
        }


def build(warehouse: Warehouse, request: BuildRequest, progress: Progress) -> BuildReport:
    """Read the input, compute what is new or changed, commit it.

    Safe to run again, also after a kill at any moment: what was committed is not computed
    again, and embeddings answered but not committed are found in the journal.

    Raises:
        TooMuchBadInputError: more dead letters than `max_bad`; they are committed first.
        EngineError: Ray or a model failed for good.
    """
    finish_pending_erasure(warehouse)
    ledger = InputLedger.take(request.files, request.plan.fingerprint)
    state = load_state(warehouse, request.plan)
    if not state.stale and ledger.all_known(state.inputs):
        _check_bad(ledger.bad(state.inputs), request.max_bad)
        return BuildReport(skipped=True)
    return bring_up_to_date(warehouse, request, state, ledger, progress)


def bring_up_to_date(
    warehouse: Warehouse,
    request: BuildRequest,
    state: WarehouseState,
    ledger: InputLedger,
    progress: Progress,
    *,
    complete: bool = True,
) -> BuildReport:
    """Build the input and `state.stale`, commit; `complete`: nothing else is behind the plan.

    Raises:
        TooMuchBadInputError, EngineError: as `build`.
    """
    report = BuildReport()
    with ray_session(request.address, request.workers):
        committer = Committer(warehouse, request, report)
        _build_on_ray(request, state, ledger, committer, progress, complete=complete)
    if needs_maintenance(warehouse):
        maintain(warehouse)
    return report


def _build_on_ray(
    request: BuildRequest,
    state: WarehouseState,
    ledger: InputLedger,
    committer: Committer,
    progress: Progress,
    *,
    complete: bool,
) -> None:
    journal = committer.warehouse.path / JOURNAL_DIR
    count = embedder_count(request.plan, request.workers)
    embedders = start_embedders(count, journal / MODEL_ID)
    llms = LlmActors(request.plan, journal, request.limits)
    setup = WorkerSetup(
        request.plan,
        None if state.empty else committer.warehouse.path,
        state.tombstones,
        state.open_failures,
        llms.name,
    )
    workers = start_workers(request.workers, setup, list(embedders), request.worker)
    actors = [actor.ready.remote() for actor in (*embedders.values(), *workers)]
    _await_ready([*actors, *llms.starting()])
    progress.started()
    read = read_partitions(request.files, request.options, workers, request.max_bad)
    _record_read(read, committer, state.tombstones)
    if too_bad(read.bad, request.max_bad):
        committer.commit(done=False)
        _check_bad(read.bad, request.max_bad)
    sizes = with_recorded(committer.warehouse, read.partitions, state.stale)
    slices = cut_slices(sizes, state.stale, request.workers, request.plan.runtime.slice_chars)
    progress.total(sum(s.messages for s in slices), sum(s.chars for s in slices))
    _build_slices(slices, workers, committer, progress)
    committer.report.add({"model_calls": embedder_counts(embedders)})
    committer.report.spent = llms.spent()
    if committer.report.stopped:
        committer.stop()
    elif complete:
        committer.finish(ledger.rows(read.bad))
    else:
        committer.commit(done=False)
    progress.finished()


def _await_ready(starting: Sequence[Any]) -> None:
    try:
        ray.get(list(starting))
    except RayError as error:
        if (reason := start_reason(error)) is not None:
            raise EngineError(reason) from error
        raise


def _record_read(read: Partitioned, committer: Committer, erased: frozenset[str]) -> None:
    committer.report.add({"read": read.counters})
    for table in read.dead_letters:
        committer.add([insert_new("dead_letters", without_erased(table, erased))])


def _check_bad(bad: int, max_bad: int | None) -> None:
    if too_bad(bad, max_bad):
        raise TooMuchBadInputError(
            f"{bad} bad lines, more than --max-bad {max_bad}. They are in the table "
            "dead_letters with the reason and the raw bytes; mend the input or raise --max-bad."
        )


def _build_slices(
    slices: Sequence[Slice], workers: Sequence[Any], committer: Committer, progress: Progress
) -> None:
    """Every worker has one slice at a time; finished change sets are committed meanwhile.

    Once a budget is used up no slice is handed out any more; those under way end, either way.

    Nothing is queued behind a busy worker, and while a commit is written no other slice is
    handed out: that is the back-pressure which bounds the object store.
    """
    waiting = list(reversed(slices))
    idle = list(workers)
    running: dict[Any, tuple[Any, Any]] = {}
    while running or (waiting and not committer.report.stopped):
        while waiting and idle and not committer.report.stopped:
            worker = idle.pop()
            piece = waiting.pop()
            report, changes = worker.build.options(num_returns=2).remote(
                piece.blocks, piece.conversations, piece.messages, piece.chars
            )
            running[report] = (worker, changes)
        committer.commit_if_due()  # While the workers work.
        done, _ = ray.wait(list(running), num_returns=1, timeout=1.0)
        for ref in done:
            worker, changes = running.pop(ref)
            idle.append(worker)
            _take(ref, changes, committer, progress)
        progress.tick()


def _take(ref: Any, changes: Any, committer: Committer, progress: Progress) -> None:
    try:
        report: SliceReport = ray.get(ref)
        committer.add(ray.get(changes))
    except RayError as error:
        failure = build_failure(error, "a slice could not be built")
        if isinstance(failure, BudgetReachedError):
            committer.report.stopped = str(failure)
            return
        raise failure from error
    committer.report.add(report.counters)
    committer.report.slices += 1
    progress.advance(report.messages, report.chars, report.counters)
