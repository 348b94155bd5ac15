"""The only writer of a stream: memory, positions and the run's row in one transaction."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa

from jobs.erasure_marks import without_erased
from jobs.observe.logs import note, say
from jobs.observe.spans import span
from jobs.run_record import LIVE, RUNNING, RunRecord
from jobs.stream.delivery import Delivery, Mark, Partition
from jobs.stream.report import StreamReport
from jobs.stream.scheduler import Scheduler
from jobs.stream.workers import Known, Piece
from operators.parse.base import READ_STEP
from schemas.tables import TABLES
from transforms.diff import merged
from transforms.warehouse.commit import ChangeSet, commit, insert_new, upsert
from transforms.warehouse.connection import Warehouse

_RECORD_SECONDS = 10.0


@dataclass(frozen=True)
class FailureChanges:
    """Dead letters other than unreadable lines that came, and those that healed."""

    added: frozenset[str]
    healed: frozenset[str]


class StreamCommitter:
    """Collects built pieces and commits them with the marks that they let move.

    Args:
        warehouse: open for writing.
        record: the row in `runs`.
        delivery: books that say how far each partition is done.
        scheduler: told what may be built again.
        report: counts.
        verbose: a line on stderr before and after every commit.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        record: RunRecord,
        delivery: Delivery,
        scheduler: Scheduler,
        report: StreamReport,
        *,
        verbose: bool,
    ) -> None:
        self.warehouse = warehouse
        self._record = record
        self._delivery = delivery
        self._scheduler = scheduler
        self._report = report
        self._verbose = verbose
        self._changes: list[ChangeSet] = []
        self._pieces: list[Piece] = []
        self._recorded = float("-inf")
        self.last = time.monotonic()
        self.settled = False

    @property
    def waiting(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self._changes or self._pieces) or self._delivery.ready

    def add(self, piece: Piece, changes: Iterable[ChangeSet]) -> None:
        """A piece has been built."""
        self._pieces.append(piece)
        self._changes.extend(changes)

    def add_dead_letters(self, letters: Sequence[pa.Table], known: Known) -> None:
        """Lines that could not be read."""
        for table in letters:
            kept = without_erased(table, known.tombstones)
            self._changes.append(insert_new("dead_letters", kept))

    def commit(self, *, status: str | None = None) -> tuple[dict[Partition, Mark], FailureChanges]:
        """One transaction. Returns the marks committed, and dead letters that came and went.

        `status` makes the run's row part of it, which otherwise is every ten seconds.
        """
        started = time.monotonic()
        tokens = [token for piece in self._pieces for token in piece.tokens]
        arrivals = [p.arrived for t in tokens if (p := self._delivery.parcel(t)) is not None]
        marks = self._delivery.settle(tokens)
        changes = merged(self._changes)
        number = self._report.commits + 1
        self._say("commit.writing", f"commit {number}: writing", number=number)
        with span("commit", number=number, pieces=len(self._pieces)):
            snapshot = commit(self.warehouse, changes, self._bookkeeping(marks, status))
        text = f"commit {number}: snapshot {snapshot}"
        self._say("commit.written", text, number=number, snapshot=snapshot)
        self.last = time.monotonic()
        self._report.committed(self.last - started, [self.last - moment for moment in arrivals])
        self._scheduler.committed(self._pieces)
        self._changes.clear()
        self._pieces.clear()
        return marks, _failures(changes)

    def _bookkeeping(self, marks: Mapping[Partition, Mark], status: str | None) -> list[ChangeSet]:
        bookkeeping: list[ChangeSet] = []
        if status is not None or time.monotonic() - self._recorded > _RECORD_SECONDS:
            status = status or (LIVE if self.settled else RUNNING)
            row = self._record.row(status, self._report.to_json())
            bookkeeping.append(upsert("runs", row))
            self._recorded = time.monotonic()
        if marks:
            bookkeeping.append(upsert("offsets", self._offsets(marks)))
        return bookkeeping

    def _offsets(self, marks: Mapping[Partition, Mark]) -> pa.Table:
        rows = [
            {
                "source": source,
                "partition": partition,
                "position": mark.position,
                "fingerprint": self._record.plan.fingerprint,
                "state": orjson.dumps({"newest": mark.newest}).decode(),
            }
            for (source, partition), mark in sorted(marks.items(), key=lambda item: item[0])
        ]
        return pa.Table.from_pylist(rows, schema=TABLES["offsets"].schema)

    def _say(self, event: str, text: str, **fields: Any) -> None:
        if self._verbose:
            say(event, text, **fields)
        else:
            note(event, **fields)


def committed_marks(offsets: pa.Table, sources: Sequence[str]) -> dict[Partition, Mark]:
    """How far each partition of these sources was committed."""
    return {
        (row["source"], row["partition"]): Mark(row["position"], state["newest"])
        for row in offsets.to_pylist()
        if row["source"] in sources and "newest" in (state := orjson.loads(row["state"]))
    }


def _failures(changes: Sequence[ChangeSet]) -> FailureChanges:
    """What a commit changes of the dead letters that a later build may remove."""
    found = [change for change in changes if change.table == "dead_letters"]
    added = {letter for change in found for letter in _removable(change.inserts)}
    healed = [c.deletes["dead_letter_id"].to_pylist() for c in found if c.deletes is not None]
    return FailureChanges(frozenset(added), frozenset(str(i) for ids in healed for i in ids))


def _removable(letters: pa.Table | None) -> list[str]:
    """Ids of dead letters that are no unreadable lines."""
    if letters is None:
        return []
    rows = zip(letters["dead_letter_id"].to_pylist(), letters["step"].to_pylist(), strict=True)
    return [str(letter) for letter, step in rows if step != READ_STEP]
