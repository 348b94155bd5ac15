"""At-least-once: which messages are on their way, and up to where a source may be committed."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from transforms.frame import Conversation

Partition = tuple[str, str]  # (source, partition)


@dataclass(frozen=True)
class Parcel:
    """Messages of one conversation on their way from a source into the warehouse.

    `newest` is set where they came too late: the newest event time (microseconds) of their
    partition when each came.
    """

    token: int
    conversation: Conversation
    rows: pa.Table
    arrived: float
    source: str
    newest: Sequence[int] | None = None


@dataclass(frozen=True)
class Mark:
    """A place in a partition: where to resume, and its clock there."""

    position: str
    newest: int | None


@dataclass
class _Batch:
    mark: Mark
    open: set[int] = field(default_factory=set[int])


class Delivery:
    """Books of what was read and is not committed yet.

    A partition's position moves over a batch of records only once every parcel of it has been
    committed, and every earlier batch of the partition, too.
    """

    def __init__(self) -> None:
        self._parcels: dict[int, Parcel] = {}
        self._batches: dict[Partition, deque[_Batch]] = {}
        self._batch_of: dict[int, _Batch] = {}
        self._serial = 0
        self._bytes = 0

    @property
    def bytes(self) -> int:
        """Size of the rows on their way."""
        return self._bytes

    @property
    def messages(self) -> int:
        """Messages on their way."""
        return sum(parcel.rows.num_rows for parcel in self._parcels.values())

    @property
    def ready(self) -> bool:
        """Whether a position may move although nothing of its batch is left to commit."""
        return any(batches and not batches[0].open for batches in self._batches.values())

    @property
    def empty(self) -> bool:
        """Whether nothing is on its way."""
        return not self._parcels

    def next_token(self) -> int:
        """A number that no parcel had before; never 0."""
        self._serial += 1
        return self._serial

    def register(self, partition: Partition, mark: Mark, parcels: Iterable[Parcel]) -> None:
        """A batch of records was read, and these parcels came of it (perhaps none)."""
        batch = _Batch(mark)
        self._batches.setdefault(partition, deque()).append(batch)
        for parcel in parcels:
            batch.open.add(parcel.token)
            self._batch_of[parcel.token] = batch
            self._parcels[parcel.token] = parcel
            self._bytes += parcel.rows.nbytes

    def parcel(self, token: int) -> Parcel | None:
        """The parcel, unless it has been settled."""
        return self._parcels.get(token)

    def waiting(self, taken: Mapping[int, object]) -> list[int]:
        """Tokens on their way that are not among `taken`, oldest first."""
        return [token for token in self._parcels if token not in taken]

    def settle(self, tokens: Iterable[int]) -> dict[Partition, Mark]:
        """These are being committed; the marks that may be committed with them."""
        for token in tokens:
            parcel = self._parcels.pop(token, None)
            if parcel is not None:
                self._bytes -= parcel.rows.nbytes
                self._batch_of.pop(token).open.discard(token)
        marks: dict[Partition, Mark] = {}
        for partition, batches in self._batches.items():
            while batches and not batches[0].open:
                marks[partition] = batches.popleft().mark
        return marks
