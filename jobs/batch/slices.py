"""Cuts the partitioned input into slices of whole conversations, the work of one task each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ray import ObjectRef

from jobs.batch.reading import Partition, bucket_of
from transforms.frame import Conversation

SLICES_PER_WORKER = 3
SMALLEST_SLICE_CHARS = 50_000
"""Below it the fixed cost of a slice (0.15 s) is no longer small against its work."""


@dataclass
class Slice:
    """Message tables of whole conversations, and conversations to bring up to the plan.

    Attributes:
        blocks: references to the tables.
        conversations: to bring up to the plan without new messages.
        buckets: where the messages are from; read again, they are found there.
        messages: new messages, less those of `parts`.
        chars: characters of their text, likewise.
        losses: how often it was lost while it was built.
        longest: no conversation of it has more new messages.
        parts: references to what parts of its conversations came to (`jobs.batch.skew`).
    """

    blocks: list[ObjectRef[Any]] = field(default_factory=list[ObjectRef[Any]])
    conversations: list[Conversation] = field(default_factory=list[Conversation])
    buckets: list[int] = field(default_factory=list[int])
    messages: int = 0
    chars: int = 0
    losses: int = 0
    longest: int = 0
    parts: list[ObjectRef[Any]] = field(default_factory=list[ObjectRef[Any]])

    def add(self, bucket: int, partition: Partition, conversations: Sequence[Conversation]) -> None:
        """Take a bucket in."""
        self.blocks.extend(partition.blocks)
        self.buckets.append(bucket)
        self.conversations.extend(conversations)
        self.messages += partition.messages
        self.chars += partition.chars
        self.longest = max(self.longest, partition.longest)

    def refill(self, partitions: Mapping[int, Partition]) -> None:
        """The same messages, read again."""
        found = [partitions[bucket] for bucket in self.buckets if bucket in partitions]
        self.blocks = [block for partition in found for block in partition.blocks]


def cut_slices(
    partitions: Mapping[int, Partition],
    stale: Sequence[Conversation],
    workers: int,
    slice_chars: int,
    split_messages: int | None = None,
) -> list[Slice]:
    """Slices of about `slice_chars`, smaller where there would be too few for the workers.

    A bucket is never split: a conversation is built in one place. One that holds a conversation
    of more than `split_messages` is a slice of its own. `stale` conversations have no new
    messages but were built by another plan. Largest slices first, so that workers end together.
    """
    by_bucket: dict[int, list[Conversation]] = {}
    for conversation in stale:
        by_bucket.setdefault(bucket_of(*conversation), []).append(conversation)
    total = sum(partition.chars for partition in partitions.values())
    target = min(slice_chars, max(SMALLEST_SLICE_CHARS, total // (workers * SLICES_PER_WORKER)))
    slices: list[Slice] = []
    current = Slice()
    for bucket in sorted({*partitions, *by_bucket}):
        partition = partitions.get(bucket, Partition())
        alone = split_messages is not None and partition.longest > split_messages
        taking = Slice() if alone else current
        taking.add(bucket, partition, by_bucket.get(bucket, []))
        if alone or current.chars >= target:
            slices.append(taking)
            current = current if alone else Slice()
    if current.blocks or current.conversations:
        slices.append(current)
    return sorted(slices, key=lambda piece: -piece.chars)
