"""`memoryflow run`: brings a warehouse up to date with a log, on Ray."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray

from jobs.batch.committer import Committer
from jobs.batch.crew import Crew
from jobs.batch.dispatch import Dispatch
from jobs.batch.input_ledger import InputLedger
from jobs.batch.llm_actors import LlmActors
from jobs.batch.models import embedder_counts, start_embedders
from jobs.batch.progress import Progress
from jobs.batch.ray_session import ray_session
from jobs.batch.reading import Partitioned, ReadOptions, too_bad
from jobs.batch.reading_again import InputReader
from jobs.batch.recorded_sizes import with_recorded
from jobs.batch.skew import split_long
from jobs.batch.slices import Slice, cut_slices
from jobs.batch.state import WarehouseState, load_state
from jobs.batch.workers import WorkerSetup, hire_worker
from jobs.embedding_models import shared_models
from jobs.erasure_marks import without_erased
from jobs.errors import TooMuchBadInputError
from jobs.llm_gateways import NO_LIMITS, Limits
from jobs.worker_count import embedder_count, worker_count
from pipelines.plan import Plan
from pipelines.spec import RuntimeSpec
from transforms.frame import Conversation
from transforms.sources.files import InputFile
from transforms.warehouse.commit import insert_new
from transforms.warehouse.connection import JOURNAL_DIR, Warehouse
from transforms.warehouse.erasure import finish_pending_erasure
from transforms.warehouse.maintenance import maintain, needs_maintenance
from transforms.warehouse.staging import STAGE_BYTES, Staging, remove_abandoned, staging


@dataclass(frozen=True)
class BuildRequest:
    """What to build: a plan, the input, and how many workers may work.

    Attributes:
        workers: slices built at a time; None for what the plan says, else one per CPU of this
            machine, or of the cluster.
        max_bad: stop once there are more dead letters from reading; None never stops.
        address: Ray cluster to run on; None starts a local Ray.
        commit_bytes: commit once so much is finished.
        stage_bytes: workers write inserts of a table from this size on as Parquet themselves.
        limits: what language models may cost.
        job: the command, for `runs`.
    """

    plan: Plan
    files: Sequence[InputFile]
    options: ReadOptions
    workers: int | None
    address: str | None = None
    max_bad: int | None = None
    commit_bytes: int = 64 * 1024 * 1024
    stage_bytes: int = STAGE_BYTES
    limits: Limits = NO_LIMITS
    job: str = "run"


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
    remove_abandoned(warehouse)
    with (
        staging(warehouse, request.stage_bytes) as shared,
        ray_session(request.address, worker_count(request.plan, request.workers)),
    ):
        committer = Committer(warehouse, request, report)
        _build_on_ray(request, state, ledger, committer, shared, progress, complete=complete)
    if needs_maintenance(warehouse):
        maintain(warehouse)
    return report


def _build_on_ray(
    request: BuildRequest,
    state: WarehouseState,
    ledger: InputLedger,
    committer: Committer,
    shared: Staging,
    progress: Progress,
    *,
    complete: bool,
) -> None:
    journal = committer.warehouse.path / JOURNAL_DIR
    workers = _workers(request)
    count = _embedder_count(request, workers)
    embedders = start_embedders(shared_models(request.plan.steps), count, journal, staging=shared)
    llms = LlmActors(request.plan, journal, request.limits, shared)
    setup = WorkerSetup(
        request.plan,
        None if state.empty else committer.warehouse.path,
        state.tombstones,
        state.open_failures,
        llms.name,
        shared,
    )
    crew = Crew(
        lambda: hire_worker(setup, list(embedders)),
        workers,
        progress.waits,
    )
    crew.wait_ready([*(a.ready.remote() for a in embedders.values()), *llms.starting()])
    progress.started()
    reader = InputReader(request.files, request.options, crew, progress.lost)
    read = reader.read(max_bad=request.max_bad)
    _record_read(read, committer, state.tombstones)
    if too_bad(read.bad, request.max_bad):
        committer.commit(done=False)
        _check_bad(read.bad, request.max_bad)
    runtime = request.plan.runtime
    slices = _slices(read, committer.warehouse, state.stale, runtime, workers)
    progress.total(sum(s.messages for s in slices), sum(s.chars for s in slices))
    committer.report.add(split_long(crew, slices, runtime, workers, progress))
    Dispatch(crew, slices, reader.read, committer, progress).run()
    committer.report.add({"model_calls": embedder_counts(embedders)})
    committer.report.spent = llms.spent()
    if committer.report.stopped:
        committer.stop()
    elif complete:
        changed = ledger.changed()
        progress.changed(changed)
        committer.finish(ledger.rows(read.bad, changed))
    else:
        committer.commit(done=False)
    progress.finished()


def _workers(request: BuildRequest) -> int:
    """How many CPUs this machine has says nothing of a cluster."""
    cpus = None if request.address is None else int(ray.cluster_resources().get("CPU", 1))
    return worker_count(request.plan, request.workers, cpus)


def _embedder_count(request: BuildRequest, workers: int) -> int:
    """On a cluster each worker has its own."""
    if request.address is None:
        return embedder_count(request.plan, workers)
    return request.plan.runtime.embedders or workers


def _record_read(read: Partitioned, committer: Committer, erased: frozenset[str]) -> None:
    committer.report.add({"read": read.counters})
    for table in read.dead_letters:
        committer.add([insert_new("dead_letters", without_erased(table, erased))])


def _slices(
    read: Partitioned,
    warehouse: Warehouse,
    stale: Sequence[Conversation],
    runtime: RuntimeSpec,
    workers: int,
) -> list[Slice]:
    """The work. From now on slices alone hold what was read, so that it goes as they are built."""
    sizes = with_recorded(warehouse, read.partitions, stale)
    read.partitions.clear()
    read.dead_letters.clear()
    return cut_slices(sizes, stale, workers, runtime.slice_chars, runtime.split_messages)


def _check_bad(bad: int, max_bad: int | None) -> None:
    if too_bad(bad, max_bad):
        raise TooMuchBadInputError(
            f"{bad} bad lines, more than --max-bad {max_bad}. They are in the table "
            "dead_letters with the reason and the raw bytes; mend the input or raise --max-bad."
        )
