"""Streams in this process: everything real but Ray, whose place the test's own thread takes."""

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jobs.digest import digest
from jobs.llm_gateways import Limits
from jobs.local_models import LocalModels
from jobs.stream.builders import Counters
from jobs.stream.pulse import Pulse
from jobs.stream.remembered import RememberedRows
from jobs.stream.report import StreamReport
from jobs.stream.stream import Stream, StreamRequest
from jobs.stream.workers import Known, Piece
from operators.base import ModelAccess
from operators.embedding.host import EmbedderHost
from operators.embedding.minilm import MiniLm
from operators.parse.jsonl import parse_jsonl
from pipelines.plan import Plan, plan
from pipelines.slice_build import build_slice
from tests.jobs.builds import pipeline_copy
from tests.reference.memory_store import Content, MemoryStore, content_of
from transforms.diff import ChangeSet
from transforms.sources.live.open_source import open_live_source
from transforms.warehouse.commit import commit
from transforms.warehouse.connection import Warehouse, open_warehouse
from transforms.warehouse.read import read_table


@cache
def models() -> LocalModels:
    """The real embedder; it remembers, so a few texts cost little."""
    return LocalModels(EmbedderHost(MiniLm()))


class Recorded:
    """Rows of an open warehouse."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def read_table(self, name, columns=None, conversations=None):
        return read_table(self._warehouse, name, columns, conversations)


class HereBuilders:
    """One builder, which works while it is waited for."""

    def __init__(
        self, warehouse: Warehouse, plan: Plan, workers: int, known: Known, limits: Limits
    ) -> None:
        self._rows = RememberedRows(Recorded(warehouse))
        self._plan = plan
        self._known = known
        self._pieces: list[Piece] = []
        self.idle = [0]
        self.models: ModelAccess = models()

    @property
    def busy(self) -> int:
        return len(self._pieces)

    def wait_ready(self) -> None:
        pass

    def tell(self, known: Known) -> None:
        self._known = known

    def start(self, builder: int, piece: Piece) -> None:
        self._pieces.append(piece)
        self.idle = []

    def counts(self) -> dict[str, int]:
        return {}

    def spent(self) -> dict[str, float]:
        return {}

    def finished(self, timeout: float) -> Iterator[tuple[Piece, Counters, tuple[ChangeSet, ...]]]:
        for piece in self._pieces:
            self._rows.expect(dict(zip(piece.conversations, piece.built_by, strict=True)))
            result = build_slice(
                piece.incoming,
                piece.refreshed,
                self._rows,
                self._plan.steps,
                self.models,
                self._known.tombstones,
                self._known.open_failures,
                piece.too_late,
                piece.deferred,
            )
            self._rows.remember(piece.conversations, piece.serial, result.changes)
            self.idle = [0]
            yield piece, result.counters, result.changes
        self._pieces.clear()


def quick_plan(folder: Path, **streaming: str) -> Plan:
    """The shipped pipeline with a streaming section that loses no time."""
    settings = {
        "early": "0.02s",
        "idle_partition": "0.1s",
        "commit_interval": "0.02s",
        "out_of_orderness": "1s",
        "allowed_lateness": "3650d",
    } | streaming
    changes = [(rf"^  {name}: \S+", f"  {name}: {value}") for name, value in settings.items()]
    return plan(pipeline_copy(folder / "pipeline.yaml", *changes))


def stream_here(
    warehouse: Path, sources: Sequence[str], using: Plan, until_idle: float = 0.3
) -> StreamReport:
    """What `memoryflow stream --until-idle` does."""
    with open_warehouse(warehouse) as opened:
        return stream_in(opened, sources, using, until_idle)


def stream_in(
    opened: Warehouse,
    sources: Sequence[str],
    using: Plan,
    until_idle: float = 0.3,
    builders: type[HereBuilders] = HereBuilders,
) -> StreamReport:
    """A stream of its own over a warehouse that is open already, which is half its cost."""
    report = StreamReport()
    opened_sources = [open_live_source(uri) for uri in sources]
    try:
        pulse = Pulse(opened.path, report, None, quiet=True)
        request = StreamRequest(using, opened_sources, 1, until_idle)
        stream = Stream(opened, request, report, pulse, builders)
        stream.resume()
        stream.run()
    finally:
        for source in opened_sources:
            source.close()
    return report


def batch_here(warehouse: Path, lines: Sequence[bytes], using: Plan) -> None:
    """What one batch run does with these lines."""
    with open_warehouse(warehouse) as opened:
        batch_in(opened, lines, using)


def batch_in(opened: Warehouse, lines: Sequence[bytes], using: Plan) -> None:
    """What one batch run does with these lines, in a warehouse that is open already."""
    parsed = parse_jsonl(enumerate(lines, 1), "batch")
    letters = read_table(opened, "dead_letters", ["dead_letter_id"], where="step <> 'read'")
    result = build_slice(
        parsed.messages,
        [],
        Recorded(opened),
        using.steps,
        models(),
        open_failures=frozenset(letters["dead_letter_id"].to_pylist()),
    )
    commit(opened, result.changes)


def content_in(opened: Warehouse) -> Content:
    """What the digest of this warehouse is over."""
    return content_of(lambda name: read_table(opened, name).to_pylist())


def batch_content(lines: Sequence[bytes], using: Plan, asked: ModelAccess | None = None) -> Content:
    """What the digest of a new warehouse would be over, after one batch run."""
    store = MemoryStore()
    parsed = parse_jsonl(enumerate(lines, 1), "batch")
    store.apply(build_slice(parsed.messages, [], store, using.steps, asked or models()).changes)
    return store.content()


def digest_at(warehouse: Path) -> dict[str, Any]:
    with open_warehouse(warehouse, read_only=True) as opened:
        return dict(digest(opened))


def append(path: Path, lines: Sequence[bytes]) -> None:
    with path.open("ab") as file:
        file.write(b"".join(line + b"\n" for line in lines))
