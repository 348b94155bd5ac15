"""Errors of the disk, in the words of the user: a full disk, a read-only or a broken one."""

import contextlib
import errno
from collections.abc import Generator
from pathlib import Path

import duckdb

from transforms.warehouse.connection import LAKE, Warehouse
from transforms.warehouse.errors import WarehouseError
from transforms.warehouse.remote_failures import remote_failure

# Lower-case marks of DuckDB's and SQLite's messages; the first that fits is taken.
_FAILURES: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("no space left", "disk is full", "disk quota exceeded"),
        "the disk is full",
        "Free some space; then run the same command again.",
    ),
    (
        ("file too large",),
        "a file would be larger than this process may write",
        "Raise the limit (ulimit -f); then run the same command again.",
    ),
    (
        ("read-only file system", "readonly database", "read-only database"),
        "the warehouse cannot be written: it is read-only",
        "Mount it writable or change its permissions; then run the same command again.",
    ),
    (
        ("permission denied", "operation not permitted"),
        "the warehouse cannot be written: permission denied",
        "Change its owner or permissions; then run the same command again.",
    ),
    (
        ("unable to open database file",),
        "the catalog cannot be opened for writing",
        "Check that it is there and that its folder is writable; then run the same command again.",
    ),
    (
        ("disk i/o error", "input/output error", "could not write"),
        "the disk fails to write",
        "Check that it is neither full nor broken; then run the same command again.",
    ),
)


def disk_failure(error: Exception, where: Path) -> WarehouseError | None:
    """What a DuckDB or OS error says of the disk, as a WarehouseError; None for other errors."""
    if not isinstance(error, (duckdb.Error, OSError)):
        return None
    text = str(error).lower()
    for marks, what, fix in _FAILURES:
        if any(mark in text for mark in marks):
            detail = str(error).splitlines()[0]
            return WarehouseError(f"{what}: {detail}", where, fix)
    if isinstance(error, duckdb.Error) and (failure := remote_failure(str(error), where)):
        return failure
    if isinstance(error, OSError) and error.errno == errno.EIO:
        return WarehouseError(f"the disk fails: {error.strerror}", where, "Check the disk.")
    return None


@contextlib.contextmanager
def disk_failures(warehouse: Warehouse) -> Generator[None]:
    """WarehouseError where the disk fails in this block; what it had half written is removed."""
    try:
        yield
    except (duckdb.Error, OSError) as error:
        failure = disk_failure(error, warehouse.path)
        if failure is None:
            raise
        _remove_leftovers(warehouse)
        raise failure from error


def _remove_leftovers(warehouse: Warehouse) -> None:
    """Files that are in no snapshot; on a full disk they take the room that is needed."""
    # Where this fails too, they stay until the next start; the first error is the one to tell.
    with contextlib.suppress(duckdb.Error, OSError, WarehouseError):
        # Who was cut off from the lock's server fails here as well. By now another may write, and
        # what that one has not committed yet is in no snapshot either.
        warehouse.require_writable()
        warehouse.connection.execute(
            f"CALL ducklake_delete_orphaned_files('{LAKE}', cleanup_all => true)"
        ).fetchall()
