"""Reads and hash-partitions the input by conversation, in the slice workers.

The driver holds references only; the rows stay in the object store.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import polars as pl
import pyarrow as pa
import ray
from ray import ObjectRef

from operators.parse.base import AdapterOptions, Parsed, ParseLimits
from schemas.ids import content_hash
from schemas.tables import TABLES
from transforms.frame import SCOPE, to_polars
from transforms.sources.files import InputFile, read_blocks

BUCKETS = 128
_BLOCKS_AHEAD = 16
"""Objects a reader may be ahead of the driver: back-pressure on the input."""

_TABLE_BYTES = 256 * 1024
"""Ray keeps objects of less than 100 KB in the driver's own memory, where nothing spills them: the
messages of several blocks go together."""


@dataclass(frozen=True)
class ReadOptions:
    """How input is read: its format, the limits of a line, options of the format's adapter."""

    format: str = "jsonl"
    limits: ParseLimits = field(default_factory=ParseLimits)
    adapter: AdapterOptions = field(default_factory=AdapterOptions)


@dataclass(frozen=True)
class BlockInfo:
    """What a reader says of a block before its tables follow, one per bucket named.

    Attributes:
        buckets: in the order of the tables.
        messages: of each.
        chars: of their texts.
        longest: messages of the conversation that has most of them, of each bucket.
        dead_letters: lines that were refused.
        counters: of the parser.
    """

    buckets: list[int]
    messages: list[int]
    chars: list[int]
    longest: list[int]
    dead_letters: pa.Table
    counters: dict[str, int]


@dataclass
class Partition:
    """One bucket of conversations: references to its message tables, and their size.

    `longest`: no conversation of it has more messages. A bound, since it is added up over the
    blocks, so that the driver need not know conversations.
    """

    blocks: list[ObjectRef[Any]] = field(default_factory=list[ObjectRef[Any]])
    messages: int = 0
    chars: int = 0
    longest: int = 0


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


def read_and_split(
    files: Sequence[InputFile], options: ReadOptions, wanted: Collection[int] | None = None
) -> Iterator[Any]:
    """For each block its `BlockInfo`, then a table of each bucket that has enough by now.

    `wanted`: of these buckets only. What is left of the others comes after the last block.
    """
    gathered: dict[int, list[pa.Table]] = {}
    for file in files:
        for parsed in _parsed(file, options):
            for bucket, table in split_by_bucket(parsed.messages):
                if wanted is None or bucket in wanted:
                    gathered.setdefault(bucket, []).append(table)
            enough = [b for b in sorted(gathered) if _nbytes(gathered[b]) >= _TABLE_BYTES]
            tables = {bucket: pa.concat_tables(gathered.pop(bucket)) for bucket in enough}
            yield _block_info(tables, parsed.dead_letters, parsed.counters)
            # Not `yield from`: Ray sends into this generator, and a dict view cannot receive.
            for table in tables.values():
                yield table
    rest = {bucket: pa.concat_tables(gathered[bucket]) for bucket in sorted(gathered)}
    yield _block_info(rest, TABLES["dead_letters"].empty(), {})
    for table in rest.values():
        yield table


def _block_info(
    tables: Mapping[int, pa.Table], dead_letters: pa.Table, counters: Mapping[str, int]
) -> BlockInfo:
    return BlockInfo(
        buckets=list(tables),
        messages=[table.num_rows for table in tables.values()],
        chars=[_chars(table) for table in tables.values()],
        longest=[_longest(table) for table in tables.values()],
        dead_letters=dead_letters,
        counters=dict(counters),
    )


def _nbytes(tables: Sequence[pa.Table]) -> int:
    return sum(table.nbytes for table in tables)


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


def _longest(table: pa.Table) -> int:
    """Messages of the conversation with most of them."""
    counts = to_polars(table.select(list(SCOPE))).group_by(SCOPE).len()["len"]
    return max(counts.to_list(), default=0)


def read_partitions(
    files: Sequence[InputFile],
    options: ReadOptions,
    readers: Sequence[Any],
    max_bad: int | None = None,
    wanted: Collection[int] | None = None,
) -> Partitioned:
    """Read everything with the slice workers; stops early once there is too much bad input.

    A reader that is not read to its end is of no use any more: it waits to be.

    Args:
        files: dealt out by size.
        options: how they are read.
        readers: slice workers, idle.
        max_bad: so many dead letters are allowed; None is any number.
        wanted: buckets to keep; None is all.
    """
    result = Partitioned()
    pending = [
        reader.read.options(
            num_returns="streaming", _generator_backpressure_num_objects=_BLOCKS_AHEAD
        ).remote(group, options, wanted)
        for reader, group in zip(readers, _groups(files, len(readers)), strict=False)
    ]
    while pending and not too_bad(result.bad, max_bad):
        ready, _ = ray.wait(pending, num_returns=1, fetch_local=False)
        stream: Any = ready[0]
        try:
            _add_block(result, cast("BlockInfo", ray.get(next(stream))), stream)
        except StopIteration:
            # A reader that was lost ends like one that is done, perhaps in the middle of a block.
            ray.get(stream.completed())
            pending.remove(stream)
    return result


def too_bad(bad: int, max_bad: int | None) -> bool:
    """Whether there are more dead letters than allowed."""
    return max_bad is not None and bad > max_bad


def _add_block(result: Partitioned, info: BlockInfo, stream: Any) -> None:
    result.counters.update(info.counters)
    if info.dead_letters.num_rows:
        result.dead_letters.append(info.dead_letters)
    sizes = zip(info.buckets, info.messages, info.chars, info.longest, strict=True)
    for bucket, messages, chars, longest in sizes:
        partition = result.partitions.setdefault(bucket, Partition())
        partition.blocks.append(next(stream))
        partition.messages += messages
        partition.chars += chars
        partition.longest += longest


def _groups(files: Sequence[InputFile], readers: int) -> list[list[InputFile]]:
    """Files dealt out by size, the largest first, so that readers end together."""
    groups: list[list[InputFile]] = [[] for _ in range(max(1, min(readers, len(files))))]
    sizes = [0] * len(groups)
    for file in sorted(files, key=lambda f: (-f.size, f.path)):
        smallest = sizes.index(min(sizes))
        groups[smallest].append(file)
        sizes[smallest] += file.size
    return groups
