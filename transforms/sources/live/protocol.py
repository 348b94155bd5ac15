"""What a live source is: partitions, positions, polling, and what is known of their end.

A source is at-least-once. It keeps no state of its own that matters: the positions it is
told to resume from are committed with the memory that rests on them, in one transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Polled:
    """New records of one partition, in its order.

    Attributes:
        partition: name, stable over restarts.
        records: number and raw bytes of each record (one message as JSON, no newline); the
            number is what a person finds the record by: its line, its Kafka offset.
        position: opaque; resuming there gives what follows these records. It may hold no text
            of a record, since positions outlive the erasure of messages.
        backlog: records or bytes that wait behind these, as far as the source knows.
        closed: nothing will ever follow in this partition, so it holds no watermark back.
    """

    partition: str
    records: Sequence[tuple[int, bytes]]
    position: str
    backlog: int = 0
    closed: bool = False


class SourceDownError(Exception):
    """The source cannot be reached for now; the stream goes on trying and says so."""


class LiveSource(Protocol):
    """A log that grows. One thread at a time."""

    @property
    def name(self) -> str:
        """Names it in `offsets.source`: the same after a restart, and without secrets."""
        ...

    def resume(self, positions: Mapping[str, str]) -> None:
        """Start behind these positions, by partition; called once, before the first poll.

        A partition that is not named starts at its beginning. A position that no longer fits
        what is there (a truncated file) starts at the beginning, too: taking a message in
        twice changes nothing, passing one over would.

        Raises:
            SourceDownError: it cannot be reached.
        """
        ...

    def poll(self, max_bytes: int, timeout: float) -> Sequence[Polled]:
        """What is new, at most one `Polled` a partition and about `max_bytes` in all.

        Waits up to `timeout` seconds where nothing is there, then returns nothing. Partitions
        are served in turn, so that a long one does not starve the others. A single record may
        exceed `max_bytes`.

        Raises:
            SourceDownError: it cannot be reached; poll again later.
        """
        ...

    def partitions(self) -> Sequence[str]:
        """Partitions known now that may still bring records, sorted."""
        ...

    def backlog(self) -> Mapping[str, int]:
        """Records or bytes not polled yet, by partition, as far as known."""
        ...

    def acknowledge(self, positions: Mapping[str, str]) -> None:
        """All before these positions has been committed; the source may forget it.

        Never raises `SourceDownError`: an acknowledgement that is lost is made up for later.
        """
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...
