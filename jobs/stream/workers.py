"""Stream workers: slice workers that are told anew, with every piece, what has changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import ray
from ray import ObjectRef

from jobs.batch.workers import SliceWorker, WorkerSetup
from jobs.stream.remembered import RememberedRows
from transforms.diff import ChangeSet
from transforms.event_time.lateness import TooLate
from transforms.frame import Conversation


@dataclass(frozen=True)
class Known:
    """What changes while a stream runs: erased messages, and dead letters that may heal."""

    tombstones: frozenset[str]
    open_failures: frozenset[str]


@dataclass(frozen=True)
class Piece:
    """Conversations to bring up to date, with what is new of them.

    Attributes:
        incoming: `messages` rows as read.
        conversations: all of them.
        refreshed: those to bring up to the plan even without new messages.
        too_late: messages that came later than allowed.
        deferred: conversations whose steps over the whole conversation wait.
        tokens: parcels in it, for the books.
        serial: number of this piece, unlike any other's of the stream.
        built_by: serial of the committed piece that built each conversation last, in the
            order of `conversations`; 0 where that is not known.
    """

    incoming: pa.Table
    conversations: tuple[Conversation, ...]
    too_late: TooLate | None
    refreshed: tuple[Conversation, ...]
    deferred: frozenset[Conversation]
    tokens: tuple[int, ...]
    serial: int
    built_by: tuple[int, ...]


class StreamWorker(SliceWorker):
    """Ray actor body: builds pieces one after the other."""

    def __init__(self, setup: WorkerSetup, embedders: list[str]) -> None:
        super().__init__(setup, embedders)
        self._known: tuple[str, Known] | None = None
        assert self._recorded is not None, "a stream's warehouse is there when its workers start"
        self._recorded_now = self._recorded
        self._rows = RememberedRows(self._recorded)

    def build_piece(
        self, piece: Piece, known: Sequence["ObjectRef[Any]"]
    ) -> tuple[dict[str, dict[str, int]], tuple[ChangeSet, ...]]:
        """Counters and changes. `known` is one reference, in a list so that Ray leaves it be."""
        facts = self._recall(known[0])
        self._recorded_now.begin()
        self._rows.expect(dict(zip(piece.conversations, piece.built_by, strict=True)))
        result = self._build_slice(
            piece.incoming,
            piece.refreshed,
            self._rows,
            self._setup.plan.steps,
            self._models,
            facts.tombstones,
            facts.open_failures,
            piece.too_late,
            piece.deferred,
        )
        self._rows.remember(piece.conversations, piece.serial, result.changes)
        return result.counters, result.changes

    def _recall(self, reference: "ObjectRef[Any]") -> Known:
        name = reference.hex()
        if self._known is None or self._known[0] != name:
            self._known = (name, ray.get(reference))
        return self._known[1]
