"""A warehouse: catalog, format, who writes, and what was left unfinished."""

import fcntl
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from jobs.doctor.finding import Finding, Scope
from jobs.run_record import RUNNING
from jobs.stream.last_pulse import last_pulse
from transforms.warehouse.catalog import FORMAT_VERSION
from transforms.warehouse.connection import METADATA, Warehouse, open_warehouse
from transforms.warehouse.erasure import PENDING_FILE
from transforms.warehouse.errors import WarehouseError
from transforms.warehouse.kv_files import kv_changes_unfinished
from transforms.warehouse.lock import LOCK_FILE
from transforms.warehouse.postgres import WRITER
from transforms.warehouse.scope import literal

_WRITERS = (
    "SELECT coalesce(host(client_addr), 'unknown') FROM pg_stat_activity "
    f"WHERE datname = current_database() AND application_name = '{WRITER}' ORDER BY 1 LIMIT 1"
)
_NEXT_RUN = "The next run, stream or forget completes it."


def warehouse(scope: Scope) -> Iterator[Finding]:
    """Everything about the folder; it is opened for reading only."""
    if scope.warehouse is None:
        return
    folder = scope.warehouse.expanduser().resolve()
    try:
        opened = open_warehouse(folder, read_only=True, threads=1)
    except WarehouseError as error:
        yield Finding("warehouse", "fail", str(error))
        return
    with opened:
        snapshot = opened.current_snapshot()
        yield Finding("warehouse", "ok", f"{folder}: format {FORMAT_VERSION}, snapshot {snapshot}")
        holder = _holder(opened)
        yield _writer(folder, holder)
        yield from _last_run(opened, holder)
        yield from _unfinished(opened, holder)
    yield from _stream(folder)


def lock_holder(folder: Path) -> str | None:
    """The writing process on this machine; None while nobody writes. Changes nothing."""
    try:
        descriptor = os.open(folder / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        held = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
        return f"process {held or 'unknown'}"
    finally:
        os.close(descriptor)
    return None


def _holder(opened: Warehouse) -> str | None:
    """Who has the warehouse open for writing, wherever its lock is kept; None for nobody."""
    if "catalog" not in opened.stores.kinds:
        return lock_holder(opened.path)
    # The lock is the server's: whoever has it has connections that are named for it.
    found = opened.rows(f"SELECT * FROM postgres_query({literal(METADATA)}, {literal(_WRITERS)})")
    return f"a process at {found[0][0]}" if found else None


def _writer(folder: Path, holder: str | None) -> Finding:
    if not os.access(folder, os.W_OK):
        return Finding(
            "writer", "warn", f"{folder} is not writable: it can only be read", "Change its owner."
        )
    if holder is None:
        return Finding("writer", "ok", "nobody has it open for writing")
    return Finding("writer", "ok", f"{holder} has it open for writing")


def _last_run(opened: Warehouse, holder: str | None) -> Iterator[Finding]:
    rows = opened.rows(
        "SELECT run_id, job, status, finished_at FROM runs ORDER BY started_at DESC, run_id LIMIT 1"
    )
    if not rows:
        yield Finding("last run", "ok", "none yet")
        return
    run_id, job, status, finished = rows[0]
    detail = f"{run_id} ({job}): {status}, last commit {finished:%Y-%m-%d %H:%M:%S} UTC"
    if status == RUNNING and holder is None:
        fix = "It was killed, or failed. The same command again goes on from its last commit."
        yield Finding("last run", "warn", detail, fix)
    else:
        yield Finding("last run", "ok", detail)


def _unfinished(opened: Warehouse, holder: str | None) -> Iterator[Finding]:
    """What a killed writer leaves; while somebody writes, all of this is as it should be."""
    if holder is not None:
        return
    found = False
    if (opened.path / PENDING_FILE).exists():
        found = True
        yield Finding(
            "erasure",
            "warn",
            "an erasure was cut off: forgotten text may still be in the files",
            _NEXT_RUN,
        )
    if kv_changes_unfinished(opened):
        found = True
        fix = "The next `memoryflow replay --refresh` or forget removes them."
        yield Finding("caches", "warn", "a build of KV caches was cut off", fix)
    left = _unnamed_files(opened)
    if left:
        found = True
        detail = f"{left:,} data files are in no snapshot, left by a writer that was killed"
        yield Finding("files", "warn", detail, "The next run removes them.")
    if not found:
        yield Finding("unfinished", "ok", "nothing was left unfinished")


def _unnamed_files(opened: Warehouse) -> int:
    """Files of the data that no row of the catalog names."""
    named = opened.rows(
        f"SELECT path FROM {METADATA}.ducklake_data_file UNION ALL "
        f"SELECT path FROM {METADATA}.ducklake_delete_file UNION ALL "
        f"SELECT path FROM {METADATA}.ducklake_files_scheduled_for_deletion"
    )
    known = {Path(str(path)).name for (path,) in named}
    there = opened.stores.data.file_names()
    return sum(1 for name in there if name.endswith(".parquet") and name not in known)


def _stream(folder: Path) -> Iterator[Finding]:
    pulse = last_pulse(folder, datetime.now(UTC))
    if pulse is None:
        return
    bad = pulse.state in {"failed", "killed", "silent"}
    said = f"{pulse.state}, last heard {pulse.age.total_seconds():,.0f} s ago"
    fix = "Start it again: it resumes where it had committed." if bad else ""
    yield Finding("stream", "warn" if bad else "ok", said, fix)
