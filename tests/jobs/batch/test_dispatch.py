"""Whatever is lost, in whatever order: each slice is taken once, or the build ends with a reason.

Ray is played: calls end at once, as the drawn fates say. The real one is in tests/jobs/cluster.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.exceptions import ActorDiedError, ObjectLostError, RayError, RayTaskError

from jobs.batch import crew as crew_module
from jobs.batch import dispatch as dispatch_module
from jobs.batch.build import _slices
from jobs.batch.crew import Crew
from jobs.batch.dispatch import Dispatch
from jobs.batch.reading import Partition, Partitioned
from jobs.batch.slices import Slice
from jobs.batch.workers import SliceReport
from jobs.errors import EngineError
from operators.llm.errors import BudgetReachedError
from pipelines.plan import plan
from schemas.tables import TABLES

LOST_OBJECT = ObjectLostError("00" * 28, None, "")
FATES: dict[str, RayError] = {
    "worker": ActorDiedError(),
    "blocks": RayTaskError("build", "Traceback ...", LOST_OBJECT),
    "changes": LOST_OBJECT,
}


@dataclass(eq=False)
class Ref:
    outcome: Any


def _get(ref: Ref) -> Any:
    if isinstance(ref.outcome, Exception):
        raise ref.outcome
    return ref.outcome


def _wait(refs: Sequence[Ref], num_returns: int = 1, **_: Any) -> tuple[list[Ref], list[Ref]]:
    return list(refs[:num_returns]), list(refs[num_returns:])


PLAYED = SimpleNamespace(
    get=_get,
    wait=_wait,
    kill=lambda worker: setattr(worker, "dead", True),
    ObjectRef=Ref,
)


class Method:
    def __init__(self, call: Callable[..., Any]) -> None:
        self.remote = call

    def options(self, **_: Any) -> "Method":
        return self


@dataclass(eq=False)
class Worker:
    """Dies, or loses something, as `fates` say, one after the other."""

    fates: list[str]
    dead: bool = False

    @property
    def ready(self) -> Method:
        return Method(lambda: Ref(ActorDiedError() if self.dead else True))

    @property
    def build(self) -> Method:
        return Method(self._build)

    def _build(
        self, blocks: list[str], conversations: Any, messages: int, chars: int, parts: Any
    ) -> tuple[Ref, Ref]:
        fate = "worker" if self.dead else self.fates.pop() if self.fates else ""
        if fate == "worker":
            self.dead = True
        if fate in {"worker", "blocks"}:
            return Ref(FATES[fate]), Ref(FATES[fate])
        if fate in {"budget", "defect"}:
            cause = BudgetReachedError("spent") if fate == "budget" else ValueError("defect")
            error = RayTaskError("build", "Traceback ...", cause)
            return Ref(error), Ref(error)
        report = Ref(SliceReport(messages, chars, {}))
        return report, Ref(FATES["changes"] if fate == "changes" else list(blocks))


@dataclass
class Committed:
    taken: Counter[str] = field(default_factory=Counter[str])
    report: Any = field(
        default_factory=lambda: SimpleNamespace(stopped=None, slices=0, add=lambda counters: None)
    )
    pending: bool = False

    def add(self, changes: list[str]) -> None:
        self.taken.update(changes)

    def commit_if_due(self) -> None:
        pass

    def commit_pending(self) -> None:
        self.pending = True


QUIET: Any = SimpleNamespace(
    advance=lambda *_: None, tick=lambda: None, lost=lambda text: None, waits=lambda text: None
)


def build(slices: int, fates: list[str], workers: int) -> tuple[Committed, int]:
    """Every worker shares the fates; returns what was taken, and how often was read again."""
    pieces = [Slice([f"old-{n}"], [], [n], 10, 100, parts=["part"]) for n in range(slices)]
    committed, reads = Committed(), 0

    def read_again(wanted: Any) -> Partitioned:
        nonlocal reads
        reads += 1
        return Partitioned({n: Partition([f"new-{n}"]) for n in wanted})

    with patch.object(crew_module, "ray", PLAYED), patch.object(dispatch_module, "ray", PLAYED):
        crew = Crew(lambda: Worker(fates), workers, QUIET.waits)
        crew.wait_ready([])
        Dispatch(crew, pieces, read_again, committed, QUIET).run()  # pyright: ignore
    if committed.report.stopped is None:
        assert not any(piece.blocks or piece.parts for piece in pieces), "memory is given back"
    return committed, reads


@given(
    st.integers(0, 6),
    st.lists(st.sampled_from(["worker", "blocks", "changes", "", ""]), max_size=12),
    st.integers(1, 3),
)
def test_every_slice_is_taken_once(slices: int, fates: list[str], workers: int) -> None:
    drawn = list(fates)
    try:
        committed, reads = build(slices, drawn, workers)
    except EngineError as error:
        assert "was lost 4 times" in str(error)
        assert sum(fate != "" for fate in fates) >= 4
        return
    taken = Counter(block.split("-")[1] for block in committed.taken.elements())
    assert taken == {str(n): 1 for n in range(slices)}
    used = fates[len(drawn) :]
    assert (reads > 0) == ("blocks" in used)


def test_what_is_finished_is_committed_before_the_build_fails() -> None:
    committed = Committed()
    with (
        patch.object(crew_module, "ray", PLAYED),
        patch.object(dispatch_module, "ray", PLAYED),
    ):
        crew = Crew(lambda: Worker(["worker"]), 1, QUIET.waits)
        crew.wait_ready([])
        pieces = [Slice(["a"], [], [1], 1234, 5678, parts=["b", "c"])]
        said = r"1,234 messages .* and 2 finished parts .* lost 4 times.* ActorDiedError"
        with pytest.raises(EngineError, match=said):
            Dispatch(crew, pieces, lambda wanted: Partitioned(), committed, QUIET).run()  # pyright: ignore
    assert committed.pending


def test_a_budget_ends_it_in_order_and_a_defect_at_once() -> None:
    committed, _ = build(5, ["budget", "", ""], 1)
    assert committed.report.stopped == "spent"
    assert sum(committed.taken.values()) == 2
    with pytest.raises(EngineError, match="could not be built"):
        build(5, ["defect"], 1)


def test_what_was_read_is_held_by_the_slices_alone() -> None:
    using = plan("conversation_memory").runtime
    letters = TABLES["dead_letters"].empty()
    read = Partitioned({1: Partition(["a"], 1, 10), 2: Partition(["b"], 1, 10)}, [letters])
    nothing_recorded: Any = None
    (piece,) = _slices(read, nothing_recorded, [], using, 2)
    assert piece.blocks == ["a", "b"]
    assert not read.partitions
    assert not read.dead_letters


def test_workers_that_never_start_are_given_up() -> None:
    started = 0

    def stillborn() -> Worker:
        nonlocal started
        started += 1
        return Worker([], dead=True)

    with (
        patch.object(crew_module, "ray", PLAYED),
        pytest.raises(EngineError, match="a slice worker does not start"),
    ):
        Crew(stillborn, 2, QUIET.waits).wait_ready([])
    assert started < 20
