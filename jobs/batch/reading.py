"""Reads and hash-partitions the input by conversation, in the slice workers.

The driver holds references only; the rows stay in the object store.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import polars as pl
import pyarrow as pa
import ray
from ray import ObjectRef

from operators.parse.base import AdapterOptions, Parsed, ParseLimits
from schemas.ids import content_hash
from transforms.frame import SCOPE, to_polars
from transforms.sources.files import InputFile, read_blocks

BUCKETS = 128
_BLOCKS_AHEAD = 16
"""Objects a reader may be ahead of the driver: back-pressure on the input."""


@dataclass(frozen=True)
class ReadOptions:
    """How input is read: its format, the limits of a line, options of the format's adapter."""

    format: str = "jsonl"
    limits: ParseLimits = field(default_factory=ParseLimits)
    adapter: AdapterOptions = field(default_factory=AdapterOptions)


@dataclass(frozen=True)
class BlockInfo:
    """What a reader says of a block before its tables follow, one per bucket named."""

    buckets: list[int]
    messages: list[int]
    chars: list[int]
    dead_letters: pa.Table
    counters: dict[str, int]


@dataclass
class Partition:
    """One bucket of conversations: references to its message tables, and their size."""

    blocks: list[ObjectRef[Any]] = field(default_factory=list[ObjectRef[Any]])
    messages: int = 0
    chars: int = 0


@dataclass
class Partitioned:
    """The whole input, by bucket, with what could not be read."""

    partitions: dict[int, Partition] = field(default_factory=dict[int, Partition])
    dead_letters: list[pa.Table] = field(default_factory=list[pa.Table])
    counters: Counter[str] = field(default_factory=Counter[str])

    @property
    def bad(self) -> int:
        """Refused lines so far; lines that are equal are one dead letter in the end."""
        return self.counters["dead_letters"]

    @property
    def messages(self) -> int:
        """Messages read."""
        return sum(partition.messages for partition in self.partitions.values())

    @property
    def chars(self) -> int:
        """Characters of text read."""
        return sum(partition.chars for partition in self.partitions.values())


def bucket_of(tenant: str, conversation: str) -> int:
    """The partition of a conversation: by content, so every reader agrees."""
    return int(content_hash("bucket", tenant, conversation)[:8], 16) % BUCKETS


def read_and_split(files: Sequence[InputFile], options: ReadOptions) -> Iterator[Any]:
    """For each block its `BlockInfo`, then one table per bucket."""
    for file in files:
        for parsed in _parsed(file, options):
            tables = dict(split_by_bucket(parsed.messages))
            yield BlockInfo(
                buckets=list(tables),
                messages=[table.num_rows for table in tables.values()],
                chars=[_chars(table) for table in tables.values()],
                dead_letters=parsed.dead_letters,
                counters=dict(parsed.counters),
            )
            # Not `yield from`: Ray sends into this generator, and a dict view cannot receive.
            for table in tables.values():  # noqa: UP028
                yield table


def _parsed(file: InputFile, options: ReadOptions) -> Iterator[Parsed]:
    return read_blocks(file, options.format, limits=options.limits, options=options.adapter)


def split_by_bucket(messages: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    """The rows of each bucket, in bucket order."""
    if messages.num_rows == 0:
        return
    scope = to_polars(messages.select(list(SCOPE))).with_row_index("row")
    rows = scope.group_by(SCOPE).agg("row")
    buckets = [bucket_of(tenant, conversation) for tenant, conversation, _ in rows.iter_rows()]
    grouped = rows.with_columns(pl.Series("bucket", buckets)).explode("row").group_by("bucket")
    for bucket, taken in grouped.agg(pl.col("row").sort()).sort("bucket").iter_rows():
        yield bucket, messages.take(pa.array(taken, pa.uint32()))


def _chars(table: pa.Table) -> int:
    return int(to_polars(table.select(["text"])).get_column("text").str.len_chars().sum())


def read_partitions(
    files: Sequence[InputFile], options: ReadOptions, readers: Sequence[Any], max_bad: int | None
) -> Partitioned:
    """Read everything with the slice workers; stops early once there is too much bad input."""
    result = Partitioned()
    pending = [
        reader.read.options(
            num_returns="streaming", _generator_backpressure_num_objects=_BLOCKS_AHEAD
        ).remote(group, options)
        for reader, group in zip(readers, _groups(files, len(readers)), strict=False)
    ]
    while pending and not too_bad(result.bad, max_bad):
        ready, _ = ray.wait(pending, num_returns=1, fetch_local=False)
        stream: Any = ready[0]
        try:
            info = cast("BlockInfo", ray.get(next(stream)))
        except StopIteration:
            pending.remove(stream)
            continue
        _add_block(result, info, stream)
    return result


def too_bad(bad: int, max_bad: int | None) -> bool:
    """Whether there are more dead letters than allowed."""
    return max_bad is not None and bad > max_bad


def _add_block(result: Partitioned, info: BlockInfo, stream: Any) -> None:
    result.counters.update(info.counters)
    if info.dead_letters.num_rows:
        result.dead_letters.append(info.dead_letters)
    for bucket, messages, chars in zip(info.buckets, info.messages, info.chars, strict=True):
        partition = result.partitions.setdefault(bucket, Partition())
        partition.blocks.append(next(stream))
        partition.messages += messages
        partition.chars += chars


def _groups(files: Sequence[InputFile], readers: int) -> list[list[InputFile]]:
    """Files dealt out by size, the largest first, so that readers end together."""
    groups: list[list[InputFile]] = [[] for _ in range(max(1, min(readers, len(files))))]
    sizes = [0] * len(groups)
    for file in sorted(files, key=lambda f: (-f.size, f.path)):
        smallest = sizes.index(min(sizes))
        groups[smallest].append(file)
        sizes[smallest] += file.size
    return groups
