"""Which conversations are built next, and by how many at once."""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
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


_MOST_CONVERSATIONS = 64
_REMEMBERED = 20_000
"""Conversations of which it is known who built them last."""


@dataclass(frozen=True)
class _Build:
    """Who built a conversation last, and with which piece."""

    builder: int | None
    serial: int


_UNKNOWN = _Build(None, 0)


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
        self._busy: dict[Conversation, int] = {}  # With who builds them.
        self._taken: dict[int, None] = {}
        self._stale: set[Conversation] = set()
        self._serial = 0
        self._builds: OrderedDict[Conversation, _Build] = OrderedDict()

    @property
    def all_current(self) -> bool:
        """Whether every conversation is as the plan would have it, as far as is known."""
        return not self._stale

    @property
    def empty(self) -> bool:
        """Whether nothing waits to be built."""
        return not self._work

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

    def next_pieces(self, idle: Sequence[int], max_size: int) -> list[tuple[int, Piece]]:
        """Work for idle builders, the oldest first: (builder, piece).

        A builder gets the conversations it built last, which it remembers, and new ones; where
        there are none, much work of a builder that is busy: little waits for its own.
        """
        ready = {c: work for c, work in self._work.items() if c not in self._busy}
        pieces: list[tuple[int, Piece]] = []
        for place, builder in enumerate(idle):
            group = self._group(ready, builder, len(idle) - place, max_size)
            if group:
                pieces.append((builder, self._piece(builder, group)))
                for conversation in group:
                    del ready[conversation]
        return pieces

    def _group(
        self, ready: Mapping[Conversation, _Work], builder: int, idle: int, max_size: int
    ) -> list[Conversation]:
        homes = {c: self._builds.get(c, _UNKNOWN).builder for c in ready}
        new = [c for c, home in homes.items() if home is None]
        taken_in = set(new[: -(-len(new) // idle)])
        pool = [c for c, home in homes.items() if home == builder or c in taken_in]
        if not pool and sum(work.size for work in ready.values()) >= _SMALLEST_PIECE:
            pool = list(ready)[: -(-len(ready) // idle)]
        size = sum(work.size for work in ready.values()) // idle
        target = min(max_size, max(_SMALLEST_PIECE, size))
        group: list[Conversation] = []
        taken = 0
        for conversation in pool[:_MOST_CONVERSATIONS]:
            group.append(conversation)
            taken += ready[conversation].size
            if taken >= target:
                break
        return group

    def committed(self, pieces: Collection[Piece]) -> None:
        """These have been committed: their conversations may be built again."""
        for piece in pieces:
            for conversation in piece.conversations:
                self._builds[conversation] = _Build(self._busy.pop(conversation), piece.serial)
                self._builds.move_to_end(conversation)
            self._stale.difference_update(piece.refreshed)
            for token in piece.tokens:
                self._taken.pop(token, None)
        while len(self._builds) > _REMEMBERED:
            self._builds.popitem(last=False)

    def forget_builds(self) -> None:
        """Another process may have written: nothing a builder remembers can be trusted."""
        self._builds.clear()

    def _piece(self, builder: int, conversations: Sequence[Conversation]) -> Piece:
        parcels: list[Parcel] = []
        group = [(conversation, self._work.pop(conversation)) for conversation in conversations]
        for conversation, work in group:
            self._busy[conversation] = builder
            found = (self._delivery.parcel(token) for token in work.tokens)
            parcels += [parcel for parcel in found if parcel is not None]
        on_time = [parcel.rows for parcel in parcels if parcel.newest is None]
        deferred = {c for c, work in group if self._defer and not work.closing}
        self._serial += 1
        return Piece(
            pa.concat_tables([TABLES["messages"].empty(), *on_time]),
            tuple(conversations),
            _too_late([parcel for parcel in parcels if parcel.newest is not None]),
            tuple(conversation for conversation, work in group if work.closing),
            frozenset(deferred),
            tuple(parcel.token for parcel in parcels),
            self._serial,
            tuple(self._builds.get(c, _UNKNOWN).serial for c in conversations),
        )


def _too_late(parcels: list[Parcel]) -> TooLate | None:
    if not parcels:
        return None
    rows = pa.concat_tables([parcel.rows for parcel in parcels])
    newest = [moment for parcel in parcels for moment in parcel.newest or ()]
    sources = [parcel.source for parcel in parcels for _ in range(parcel.rows.num_rows)]
    return TooLate(rows, newest, sources)
