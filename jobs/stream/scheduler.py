"""Which conversations are built next, and by how many at once."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import pyarrow as pa

from jobs.stream.delivery import Delivery, Parcel
from jobs.stream.workers import Piece
from schemas.tables import TABLES
from transforms.event_time.lateness import TooLate
from transforms.event_time.runs import SessionPane, Timing
from transforms.frame import Conversation

_SMALLEST_PIECE = 50_000
"""Bytes below which the fixed cost of a build is not worth a worker of its own."""


@dataclass
class _Work:
    tokens: list[int] = field(default_factory=list[int])
    size: int = 0
    closing: bool = False


class Scheduler:
    """Work by conversation. While one is being built or waits for its commit, its further
    work waits: a build starts from what the warehouse holds.

    Args:
        delivery: the books of parcels.
        defer: whether steps over whole conversations wait until a session closes.
    """

    def __init__(self, delivery: Delivery, *, defer: bool) -> None:
        self._delivery = delivery
        self._defer = defer
        self._work: dict[Conversation, _Work] = {}  # In order of arrival.
        self._busy: set[Conversation] = set()
        self._taken: dict[int, None] = {}
        self._stale: set[Conversation] = set()

    @property
    def all_current(self) -> bool:
        """Whether every conversation is as the plan would have it, as far as is known."""
        return not self._stale

    @property
    def empty(self) -> bool:
        """Whether nothing waits to be built."""
        return not self._work

    @property
    def blocked(self) -> bool:
        """Whether all that waits to be built waits for a commit."""
        return bool(self._work) and self._busy.issuperset(self._work)

    @property
    def taken(self) -> dict[int, None]:
        """Tokens that have come as far as here and are not committed."""
        return self._taken

    def add_pane(self, pane: SessionPane) -> None:
        """A window has fired."""
        closing = self._defer and pane.timing is not Timing.EARLY
        self.add_tokens(pane.conversation, pane.tokens, closing=closing)

    def add_tokens(
        self, conversation: Conversation, tokens: Iterable[int], *, closing: bool = False
    ) -> None:
        """Parcels of a conversation; nothing happens for those settled or taken already."""
        new: list[Parcel] = []
        for token in tokens:
            parcel = self._delivery.parcel(token)
            if parcel is not None and token not in self._taken:
                new.append(parcel)
        if not new and not closing:
            return
        work = self._work.setdefault(conversation, _Work())
        work.closing |= closing
        for parcel in new:
            self._taken[parcel.token] = None
            work.tokens.append(parcel.token)
            work.size += parcel.rows.nbytes

    def add_stale(self, conversations: Iterable[Conversation]) -> None:
        """Conversations to bring up to the plan without new messages."""
        for conversation in conversations:
            self._stale.add(conversation)
            self._work.setdefault(conversation, _Work()).closing = True

    def next_pieces(self, workers: int, max_size: int) -> list[Piece]:
        """Work for up to `workers` idle workers, the oldest first, about evenly dealt."""
        ready = [(c, w) for c, w in self._work.items() if c not in self._busy]
        total = sum(work.size for _, work in ready)
        target = min(max_size, max(_SMALLEST_PIECE, total // max(workers, 1)))
        # Conversations without new messages cost as much as their recorded rows: a few at once.
        most = max(1, len(ready) // max(workers, 1) + 1)
        pieces: list[Piece] = []
        group: list[tuple[Conversation, _Work]] = []
        for conversation, work in ready:
            if len(pieces) == workers:
                break
            group.append((conversation, work))
            if sum(w.size for _, w in group) >= target or len(group) >= min(most, 64):
                pieces.append(self._piece(group))
                group = []
        if group and len(pieces) < workers:
            pieces.append(self._piece(group))
        return pieces

    def committed(self, pieces: Collection[Piece]) -> None:
        """These have been committed: their conversations may be built again."""
        for piece in pieces:
            self._busy.difference_update(piece.conversations)
            self._stale.difference_update(piece.refreshed)
            for token in piece.tokens:
                self._taken.pop(token, None)

    def _piece(self, group: list[tuple[Conversation, _Work]]) -> Piece:
        parcels: list[Parcel] = []
        for conversation, work in group:
            del self._work[conversation]
            self._busy.add(conversation)
            found = (self._delivery.parcel(token) for token in work.tokens)
            parcels += [parcel for parcel in found if parcel is not None]
        on_time = [parcel.rows for parcel in parcels if parcel.newest is None]
        deferred = {c for c, work in group if self._defer and not work.closing}
        return Piece(
            pa.concat_tables([TABLES["messages"].empty(), *on_time]),
            tuple(conversation for conversation, _ in group),
            _too_late([parcel for parcel in parcels if parcel.newest is not None]),
            tuple(conversation for conversation, work in group if work.closing),
            frozenset(deferred),
            tuple(parcel.token for parcel in parcels),
        )


def _too_late(parcels: list[Parcel]) -> TooLate | None:
    if not parcels:
        return None
    rows = pa.concat_tables([parcel.rows for parcel in parcels])
    newest = [moment for parcel in parcels for moment in parcel.newest or ()]
    sources = [parcel.source for parcel in parcels for _ in range(parcel.rows.num_rows)]
    return TooLate(rows, newest, sources)
