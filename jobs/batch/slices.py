"""Cuts the partitioned input into slices of whole conversations, the work of one task each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ray import ObjectRef

from jobs.batch.reading import Partition, bucket_of
from transforms.frame import Conversation

_SLICES_PER_WORKER = 3
_SMALLEST_SLICE_CHARS = 50_000
"""Below it the fixed cost of a slice (0.15 s) is no longer small against its work."""


@dataclass
class Slice:
    """Message tables of whole conversations, and conversations to bring up to the plan."""

    blocks: list[ObjectRef[Any]] = field(default_factory=list[ObjectRef[Any]])
    conversations: list[Conversation] = field(default_factory=list[Conversation])
    messages: int = 0
    chars: int = 0

    def add(self, partition: Partition, conversations: Sequence[Conversation]) -> None:
        """Take a bucket in."""
        self.blocks.extend(partition.blocks)
        self.conversations.extend(conversations)
        self.messages += partition.messages
        self.chars += partition.chars


def cut_slices(
    partitions: Mapping[int, Partition],
    stale: Sequence[Conversation],
    workers: int,
    slice_chars: int,
) -> list[Slice]:
    """Slices of about `slice_chars`, smaller where there would be too few for the workers.

    A bucket is never split: a conversation is built in one place. `stale` conversations have
    no new messages but were built by another plan. Largest slices first, so that workers end
    together.
    """
    by_bucket: dict[int, list[Conversation]] = {}
    for conversation in stale:
        by_bucket.setdefault(bucket_of(*conversation), []).append(conversation)
    total = sum(partition.chars for partition in partitions.values())
    target = min(slice_chars, max(_SMALLEST_SLICE_CHARS, total // (workers * _SLICES_PER_WORKER)))
    slices: list[Slice] = []
    current = Slice()
    for bucket in sorted({*partitions, *by_bucket}):
        current.add(partitions.get(bucket, Partition()), by_bucket.get(bucket, []))
        if current.chars >= target:
            slices.append(current)
            current = Slice()
    if current.blocks or current.conversations:
        slices.append(current)
    return sorted(slices, key=lambda piece: -piece.chars)
