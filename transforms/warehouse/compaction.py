"""Tiered compaction: small files are merged with small ones, large with large.

As in a log-structured merge tree (O'Neil et al., 1996; the size-tiered form of Cassandra),
the files of a table fall into tiers by size, each 8 times the one below. A tier is merged
once it holds some files, and its result falls into a higher tier, so that a row is rewritten
O(log(size)) times however long a stream runs, and a pass costs what was written since the
last. DuckLake merges no file that has deleted rows: such files are rewritten first, where
enough rows of them are gone, or where many small ones have piled up.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from transforms.warehouse.connection import LAKE, METADATA, Warehouse
from transforms.warehouse.failures import disk_failures
from transforms.warehouse.retry import with_retry

KIB, MIB = 1024, 1024 * 1024
# DuckLake's own target: it merges no file of this size, and merges up to about this size.
TARGET_BYTES = 512 * MIB


@dataclass(frozen=True)
class CompactionPolicy:
    """When files are merged and rewritten.

    `tiers`: upper bounds of the tiers in bytes; files of the last bound or more are left alone.
    `merge_from`: files that a tier of a table must hold to be merged.
    `rewrite_share`: share of deleted rows from which a file is rewritten, however large.
    `rewrite_bytes`: most bytes rewritten in a table and pass for files with fewer deletions;
    they are rewritten once `merge_from` files below this size have deleted rows.
    `seconds`: after this time no further table is begun; the next pass goes on.
    """

    tiers: tuple[int, ...] = (32 * KIB, 256 * KIB, 2 * MIB, 16 * MIB)
    merge_from: int = 8
    rewrite_share: float = 0.3
    rewrite_bytes: int = 4 * MIB
    seconds: float = 5.0


# Beside a stream: files of 16 MB and more are left to a batch run.
STREAMING = CompactionPolicy()
# For a batch run: merges whatever is small, once some hundred files have piled up.
THOROUGH = CompactionPolicy(
    tiers=(32 * KIB, 256 * KIB, 2 * MIB, 16 * MIB, 128 * MIB, TARGET_BYTES),
    merge_from=2,
    seconds=float("inf"),
)


@dataclass(frozen=True)
class CompactionReport:
    """What a pass did; bytes are those of the files read to be written again."""

    files_merged: int = 0
    files_created: int = 0
    bytes_rewritten: int = 0
    calls: int = 0
    unfinished: bool = False

    def __add__(self, other: "CompactionReport") -> "CompactionReport":
        return CompactionReport(
            self.files_merged + other.files_merged,
            self.files_created + other.files_created,
            self.bytes_rewritten + other.bytes_rewritten,
            self.calls + other.calls,
            self.unfinished or other.unfinished,
        )


@dataclass(frozen=True)
class DataFile:
    """A live data file of a table: its size, its rows and how many of them are deleted."""

    table: str
    size: int
    rows: int
    deleted: int

    @property
    def share(self) -> float:
        """Share of deleted rows."""
        return self.deleted / self.rows if self.rows else 1.0


def compact(warehouse: Warehouse, policy: CompactionPolicy | None = None) -> CompactionReport:
    """Merge and rewrite the files that `policy` (STREAMING) names; no row and no snapshot is lost.

    Tables with most files come first. Raises WarehouseError (read-only, disk full); what was
    merged by then stays merged.
    """
    warehouse.require_writable()
    policy = policy or STREAMING
    started = time.monotonic()
    report = CompactionReport()
    tables = _by_table(live_data_files(warehouse))
    for table, files in sorted(tables.items(), key=lambda item: (-len(item[1]), item[0])):
        actions = [*_rewrites(table, files, policy), *_merges(table, files, policy)]
        for function, size in actions:
            if time.monotonic() - started > policy.seconds:
                return report + CompactionReport(unfinished=True)
            report += _apply(warehouse, function, size)
    return report


def live_data_files(warehouse: Warehouse) -> list[DataFile]:
    """The data files of the current snapshot, with their deleted rows."""
    rows = warehouse.rows(
        "SELECT t.table_name, f.file_size_bytes, f.record_count, coalesce(d.delete_count, 0) "
        f"FROM {METADATA}.ducklake_data_file f JOIN {METADATA}.ducklake_table t "
        "ON t.table_id = f.table_id AND t.end_snapshot IS NULL "
        f"LEFT JOIN (FROM {METADATA}.ducklake_delete_file WHERE end_snapshot IS NULL) d "
        "ON d.data_file_id = f.data_file_id WHERE f.end_snapshot IS NULL"
    )
    return [DataFile(str(t), int(s), int(r), int(d)) for t, s, r, d in rows]


def rewrite_threshold(files: Iterable[DataFile], policy: CompactionPolicy) -> float | None:
    """Least share of deleted rows whose files are worth rewriting; None for no file.

    Rewriting a file costs its size; at `rewrite_share` that is a fixed multiple of what was
    deleted. Below, only what fits into `rewrite_bytes` is taken, and only if small files with
    deletions have piled up, because they escape merging.
    """
    dirty = sorted((f for f in files if f.deleted), key=lambda f: (-f.share, f.size))
    due = [f for f in dirty if f.share >= policy.rewrite_share]
    threshold = due[-1].share if due else None
    if sum(f.size < policy.rewrite_bytes for f in dirty) < policy.merge_from:
        return threshold
    below = [f for f in dirty if f.share < policy.rewrite_share]
    budget = policy.rewrite_bytes
    for share in sorted({f.share for f in below}, reverse=True):
        # DuckLake takes all files from the threshold on, so those of equal share go together.
        budget -= sum(f.size for f in below if f.share == share)
        if budget < 0:
            break
        threshold = share
    return threshold


def merge_ranges(files: Iterable[DataFile], policy: CompactionPolicy) -> list[tuple[int, int, int]]:
    """The tiers to merge: lower bound, upper bound, bytes of the files in between."""
    clean = [f.size for f in files if not f.deleted]
    ranges: list[tuple[int, int, int]] = []
    lower = 0
    for upper in policy.tiers:
        sizes = [size for size in clean if lower <= size < upper]
        if len(sizes) >= policy.merge_from:
            ranges.append((lower, upper, sum(sizes)))
        lower = upper
    return ranges


def _rewrites(
    table: str, files: Sequence[DataFile], policy: CompactionPolicy
) -> Iterable[tuple[str, int]]:
    threshold = rewrite_threshold(files, policy)
    if threshold is None:
        return
    # A little less: DuckLake computes the same share in its own way.
    least = max(0.0, threshold - 1e-9)
    size = sum(f.size for f in files if f.deleted and f.share >= threshold)
    yield f"ducklake_rewrite_data_files('{LAKE}', '{table}', delete_threshold => {least})", size


def _merges(
    table: str, files: Sequence[DataFile], policy: CompactionPolicy
) -> Iterable[tuple[str, int]]:
    for lower, upper, size in merge_ranges(files, policy):
        # One result a call, so that no call takes longer than writing the target size.
        yield (
            f"ducklake_merge_adjacent_files('{LAKE}', '{table}', min_file_size => {lower}, "
            f"max_file_size => {upper}, max_compacted_files => 1)",
            min(size, TARGET_BYTES),
        )


def _apply(warehouse: Warehouse, function: str, size: int) -> CompactionReport:
    rows = call_function(warehouse, function)
    merged = sum(int(row[2]) for row in rows)
    created = sum(int(row[3]) for row in rows)
    return CompactionReport(merged, created, size if rows else 0, 1)


def call_function(warehouse: Warehouse, function: str) -> list[tuple[Any, ...]]:
    """CALL a DuckLake function that writes, retried while the catalog is busy.

    WarehouseError: the lock was lost, the disk is full.
    """
    warehouse.require_writable()
    with disk_failures(warehouse):
        return with_retry(lambda: warehouse.connection.execute(f"CALL {function}").fetchall())


def _by_table(files: Iterable[DataFile]) -> dict[str, list[DataFile]]:
    tables: dict[str, list[DataFile]] = defaultdict(list)
    for file in files:
        tables[file.table].append(file)
    return tables
