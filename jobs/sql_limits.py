"""Bounds on one SQL query: time, memory, and the size of what it answers."""

import contextlib
import os
import re
import resource
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from jobs.errors import UsageError
from jobs.observe.logs import say
from jobs.sql_guard import SqlError

_BATCH_ROWS = 20_000
_INTERRUPT_EVERY_SECONDS = 0.5
_GRACE_SECONDS = 10.0
_MIB = 1024 * 1024
DEFAULT_MEMORY = "4GB"
_MEMORY = re.compile(r"(\d{1,6})\s*(MB|GB)", re.ASCII | re.IGNORECASE)
_EXIT_USAGE = 2  # As any SqlError.
_HEADROOM_BYTES = 3 * 1024 * _MIB


@dataclass(frozen=True)
class SqlLimits:
    """What one query may take.

    Attributes:
        seconds: until it is interrupted; None is no limit.
        memory: of DuckDB, as it writes it ('4GB'); what needs more is spilled to disk, where
            DuckDB can, or refused.
        rows: of a result.
        result_bytes: of a result, in memory.
    """

    seconds: float | None = 300.0
    memory: str = DEFAULT_MEMORY
    rows: int = 1_000_000
    result_bytes: int = 512 * _MIB


DEFAULT_LIMITS = SqlLimits()


class Watch:
    """Tells an interrupted query from one that failed."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self.expired = False

    def explained(self, error: Exception) -> str:
        """What to tell the user of `error`."""
        if self.expired:
            return f"The query took longer than {self.seconds:g} s: raise --timeout (0: no limit)."
        if isinstance(error, MemoryError | duckdb.OutOfMemoryException | pa.ArrowMemoryError):
            first = str(error).partition("\n")[0]
            return f"The query needs too much memory: raise --memory-limit. {first}".rstrip()
        return str(error)


@contextmanager
def time_limit(connection: duckdb.DuckDBPyConnection, seconds: float | None) -> Generator[Watch]:
    """Interrupts what runs on `connection` after so many seconds, until it has ended."""
    watch = Watch(seconds)
    if seconds is None:
        yield watch
        return
    done = threading.Event()

    def stop() -> None:
        if done.wait(seconds):
            return
        watch.expired = True
        while not done.wait(_INTERRUPT_EVERY_SECONDS):
            connection.interrupt()

    thread = threading.Thread(target=stop, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        done.set()
        thread.join()


def fetch_bounded(connection: duckdb.DuckDBPyConnection, query: str, limits: SqlLimits) -> pa.Table:
    """The whole result of a query, as long as it is within the limits.

    Raises:
        SqlError: it is larger.
        duckdb.Error, pa.ArrowException, MemoryError: the query fails.
    """
    reader = connection.execute(query).to_arrow_reader(_BATCH_ROWS)
    batches: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in reader:
        batches.append(batch)
        rows += batch.num_rows
        size += batch.nbytes
        if rows > limits.rows or size > limits.result_bytes:
            raise SqlError(
                f"The result has more than {limits.rows:,} rows or "
                f"{limits.result_bytes // _MIB:,} MiB: add LIMIT, sum it up, or write files "
                "with `memoryflow export`."
            )
    return pa.Table.from_batches(batches, reader.schema)


def memory_bytes(text: str) -> int:
    """Bytes of a memory limit such as `512MB` or `4GB`.

    Raises:
        UsageError: it is none.
    """
    match = _MEMORY.fullmatch(text.strip())
    if match is None or not int(match[1]):
        raise UsageError(f"--memory-limit {text!r} is no size: write it like 512MB or 4GB")
    return int(match[1]) * _MIB * (1024 if match[2].upper() == "GB" else 1)


@contextmanager
def process_limits(limits: SqlLimits) -> Generator[None]:
    """Ends this process where a query neither heeds the interrupt nor DuckDB's memory limit.

    One call of a function can be such a query: `repeat('x', 3000000000)`. For a process that
    does nothing else.
    """
    with contextlib.suppress(OSError, ValueError):  # Not on every system; a lower one stays.
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        wanted = memory_bytes(limits.memory) + _HEADROOM_BYTES
        if hard == resource.RLIM_INFINITY or wanted < hard:
            resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))
    if limits.seconds is None:
        yield
        return
    timer = threading.Timer(limits.seconds + _GRACE_SECONDS, _give_up, [limits.seconds])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _give_up(seconds: float) -> None:
    text = f"memoryflow: the query did not end after {seconds:g} s"
    say("command.failed", text, level="error", exit_code=_EXIT_USAGE)
    os._exit(_EXIT_USAGE)
