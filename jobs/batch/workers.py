"""Slice workers: Ray actors that run the plan's composite on one slice at a time."""

import contextlib
import gc
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import ray
from ray import ObjectRef
from ray.exceptions import ObjectLostError

from jobs.batch.models import WORKER_CPUS, ActorModels
from jobs.batch.reading import ReadOptions, read_and_split
from jobs.batch.shared_folder import SharedFolder
from jobs.errors import EngineError
from operators.base import Vectors
from operators.llm.call import Answer, Request
from operators.llm.spec import AnyLlm
from operators.parse.jsonl import parse_jsonl
from pipelines.part_sizes import PartSizes
from pipelines.plan import Plan
from schemas.tables import TABLES
from transforms.diff import ChangeSet
from transforms.frame import Conversation
from transforms.sources.files import InputFile
from transforms.warehouse.connection import Warehouse, open_warehouse
from transforms.warehouse.errors import WarehouseError
from transforms.warehouse.read import read_table, tables_with_rows
from transforms.warehouse.staging import Stager, Staging

_WARM_UP_LINE = (
    b'{"conversation_id": "c", "message_id": "m", "speaker": "Ana", "text": '
    b'"I moved to Porto last week. I live near the river now, with a dog called Biscuit.", '
    b'"timestamp": "2025-01-01T00:00:00Z"}'
)


@dataclass(frozen=True)
class WorkerSetup:
    """What every slice worker is given once.

    Attributes:
        plan: the plan to run.
        warehouse: folder to read recorded rows from; None when it holds none yet.
        tombstones: ids of erased messages.
        open_failures: dead letters of operators that failed in earlier runs.
        gateway: name of the actor that reaches language models; None for a plan without.
        staging: where large inserts are written as Parquet; None hands all on as Arrow.
    """

    plan: Plan
    warehouse: Path | None
    tombstones: frozenset[str]
    open_failures: frozenset[str]
    gateway: str | None = None
    staging: Staging | None = None


@dataclass(frozen=True)
class SliceReport:
    """Size and counts of a finished slice; the change set itself stays in the object store."""

    messages: int
    chars: int
    counters: dict[str, dict[str, int]]


class _Recorded:
    """Recorded rows, read from the warehouse; opened when first needed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._warehouse: Warehouse | None = None
        self._filled: frozenset[str] | None = None

    def begin(self) -> None:
        """A build begins: what was empty may hold rows by now."""
        self._filled = None

    def read_table(
        self,
        name: str,
        columns: Sequence[str] | None = None,
        conversations: Sequence[Conversation] | None = None,
    ) -> pa.Table:
        """Rows of a table, of these conversations only."""
        if self._warehouse is None:
            self._warehouse = open_warehouse(self._path, read_only=True, threads=1)
        if self._filled is None:
            self._filled = tables_with_rows(self._warehouse)
        if name not in self._filled:  # A query of it would cost 30 ms.
            schema = TABLES[name].schema
            names = schema.names if columns is None else columns
            return pa.schema([schema.field(column) for column in names]).empty_table()
        return read_table(self._warehouse, name, columns, conversations)


class _NoModels:
    """Stands in for the models while a worker warms up: nothing of it is kept."""

    def embed(self, texts: Sequence[str], model_id: str) -> Vectors:
        del model_id
        return np.ones((len(texts), 1), np.float32)

    def token_counts(self, texts: Sequence[str], model_id: str) -> Sequence[int]:
        del model_id
        return [1] * len(texts)

    def generate(self, llm: AnyLlm, requests: Sequence[Request]) -> Sequence[Answer]:
        return [Answer(request.call_id(llm), "predicted", "") for request in requests]


class SliceWorker:
    """Ray actor body: builds slices one after the other."""

    def __init__(self, setup: WorkerSetup, embedders: list[str]) -> None:
        # Beam takes seconds to import: here, at the start of all workers at once, and not in
        # the driver, which never runs a step.
        from pipelines.session_parts import build_part, split_steps  # noqa: PLC0415
        from pipelines.slice_build import build_slice, cut_slice  # noqa: PLC0415

        self._build_slice = build_slice
        self._cut_slice = cut_slice
        self._build_part = build_part
        self._split = split_steps(setup.plan.steps)
        self._setup = setup
        self._models = ActorModels(embedders, setup.gateway)
        self._recorded = _Recorded(setup.warehouse) if setup.warehouse else None
        self._folder = SharedFolder(setup.staging)
        self._stager = Stager(setup.staging) if setup.staging else None
        self._warm_up()

    def _warm_up(self) -> None:
        """One invented message through the plan: word lists, parsers and Beam load now.

        Otherwise the first slice of every worker would wait for them.
        """
        messages = parse_jsonl([(1, _WARM_UP_LINE)], "warm-up").messages
        self._build_slice(messages, [], None, self._setup.plan.steps, _NoModels())
        # What is loaded now stays: looking through it for garbage again and again costs a fifth
        # of the CPU time of a slice.
        gc.collect()
        gc.freeze()

    def ready(self) -> bool:
        """True once the actor has started; EngineError if it does not see the warehouse."""
        self._folder.require()
        return True

    def read(
        self,
        files: Sequence[InputFile],
        options: ReadOptions,
        wanted: Collection[int] | None = None,
    ) -> Iterator[Any]:
        """Parse and partition input files: see `jobs.batch.reading.read_and_split`."""
        # Not `yield from`: Ray sends into this generator, and only a generator can receive.
        for item in read_and_split(files, options, wanted):  # noqa: UP028
            yield item

    def build(
        self,
        blocks: list[ObjectRef[Any]],
        conversations: list[Conversation],
        messages: int,
        chars: int,
        parts: Sequence[ObjectRef[Any]] = (),
    ) -> tuple[SliceReport, tuple[ChangeSet, ...]]:
        """The report, which the driver looks at, and the changes, which it hands on.

        `parts`: what `build_part` made of this slice; what is lost of it is computed again.
        """
        tables: list[pa.Table] = ray.get(blocks)
        if self._recorded is not None:
            self._recorded.begin()
        result = self._build_slice(
            pa.concat_tables([TABLES["messages"].empty(), *tables]),
            conversations,
            self._recorded,
            self._setup.plan.steps,
            self._models,
            self._setup.tombstones,
            self._setup.open_failures,
            parts=_still_there(parts),
        )
        report = SliceReport(messages, chars, result.counters)
        return report, self._staged(result.changes)

    def cut(
        self, blocks: list[ObjectRef[Any]], conversations: list[Conversation], sizes: PartSizes
    ) -> Iterator[Any]:
        """The long conversations of a slice in parts.

        First (messages, characters) of each part, then what all of them share, the parts, and
        at last True: all have been given.
        """
        tables: list[pa.Table] = ray.get(blocks)
        if self._recorded is not None:
            self._recorded.begin()
        found = self._cut_slice(
            pa.concat_tables([TABLES["messages"].empty(), *tables]),
            conversations,
            self._recorded,
            self._setup.plan.steps,
            self._models,
            sizes,
            self._setup.tombstones,
        )
        yield [(part.messages, part.chars) for part in found.parts]
        yield found.shared
        # Not `yield from`: see `read`.
        for part in found.parts:  # noqa: UP028
            yield part
        yield True

    def build_part(
        self, part: Sequence[ObjectRef[Any]], shared: Sequence[ObjectRef[Any]]
    ) -> tuple[Any, bool]:
        """What a part comes to (`PartRows`), and True; each reference alone in a list."""
        assert self._split is not None, "there are parts"
        found, common = ray.get([*part, *shared])
        return self._build_part(self._split, found, common, self._models), True

    def _staged(self, changes: tuple[ChangeSet, ...]) -> tuple[ChangeSet, ...]:
        if self._stager is None:
            return changes
        try:
            return self._stager.stage(changes)
        except WarehouseError as error:
            raise EngineError(str(error)) from error


def _still_there(parts: Sequence[ObjectRef[Any]]) -> list[Any]:
    """Those that were not on a node that went."""
    found: list[Any] = []
    for part in parts:
        with contextlib.suppress(ObjectLostError):
            found.append(ray.get(part))
    return found


def start_workers(
    count: int,
    setup: WorkerSetup,
    embedders: list[str],
    body: type[SliceWorker] = SliceWorker,
) -> list[Any]:
    """Slice workers; Ray restarts a killed one, and what it was at is built again."""
    actor = ray.remote(num_cpus=WORKER_CPUS, max_restarts=10, max_task_retries=10)(body)
    return [actor.remote(setup, embedders) for _ in range(count)]


def hire_worker(setup: WorkerSetup, embedders: list[str]) -> Any:
    """A slice worker that stays dead when it dies: see `jobs.batch.crew`."""
    actor = ray.remote(
        num_cpus=WORKER_CPUS, max_restarts=0, max_task_retries=0, scheduling_strategy="SPREAD"
    )(SliceWorker)
    return actor.remote(setup, embedders)
