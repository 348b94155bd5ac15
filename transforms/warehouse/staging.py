"""Large inserts are written as Parquet where they were computed; the commit registers the files.

A staged file lies in its table's folder below the data, sorted and cut into row groups as
DuckLake's own, and is in no snapshot until `commit` names it. What is never named, since its
writer or the run was killed, is an orphan. `DIR/staging/TOKEN` stands there for as long as a
run may stage: who opens the warehouse next and finds it removes it, then the orphans. A
writer looks for it once more when its file is complete, and takes the file back where it has
gone; so nothing is written behind the back of the next run.

The same token says whether a process sees the folder of the warehouse at all.
"""

import contextlib
import os
import time
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import pyarrow as pa

from schemas.tables import TABLES
from transforms.warehouse.commit import ChangeSet, StagedFile, prepared_rows
from transforms.warehouse.connection import LAKE, METADATA, Warehouse, data_connection
from transforms.warehouse.errors import WarehouseError
from transforms.warehouse.failures import disk_failure
from transforms.warehouse.maintenance import remove_orphans

STAGING_DIR = "staging"
STAGE_BYTES = 8 * 1024 * 1024
"""Rows of one table and slice that take more are staged: about 5,000 vectors.

Below it a file of its own would cost the readers more than it saves the committer."""

_ROWS = "__staged_rows"
_ROW_GROUP_OPTION = "parquet_row_group_size"
_SEEN_SECONDS = 30.0
"""How long a folder shared over a network may take to show a new file."""


@dataclass(frozen=True)
class Staging:
    """What workers need to know to stage; travels to them.

    Attributes:
        marker: there while the run goes on; its folder is in the folder of the warehouse.
        data: folder or prefix of the data.
        least_bytes: inserts of a table and slice that take less travel as Arrow.
        row_groups: rows per row group by table; "" for all others.
    """

    marker: Path
    data: str
    least_bytes: int
    row_groups: Mapping[str, int]

    @property
    def warehouse(self) -> Path:
        """Folder of the warehouse."""
        return self.marker.parent.parent

    @property
    def token(self) -> str:
        """What the names of this run's files begin with, after `staged-`."""
        return self.marker.name

    def require_shared(self, seconds: float | None = None) -> None:
        """Pass if this process sees the warehouse's folder; waits `seconds` (30) for it to show.

        Raises:
            WarehouseError: it does not, or it sees another folder of this name.
        """
        seconds = _SEEN_SECONDS if seconds is None else seconds
        deadline = time.monotonic() + seconds
        while not self.marker.exists():
            if time.monotonic() >= deadline:
                raise WarehouseError(
                    f"host {os.uname().nodename} does not see this warehouse",
                    self.warehouse,
                    "All nodes of a cluster must mount the same folder at the same path, for "
                    "instance over NFS; or run on this machine alone, without --address.",
                )
            time.sleep(min(0.2, seconds / 10))


@contextlib.contextmanager
def staging(warehouse: Warehouse, least_bytes: int = STAGE_BYTES) -> Generator[Staging]:
    """Lets workers stage for the length of the block; files that were not committed go then.

    Killed within the block, `remove_abandoned` of the next writer does that.
    """
    warehouse.require_writable()
    opened = _open(warehouse, least_bytes)
    try:
        yield opened
    finally:
        _close(warehouse, opened)


def remove_abandoned(warehouse: Warehouse) -> bool:
    """Remove what a killed run has staged; whether there was one. One look at the disk."""
    folder = warehouse.path / STAGING_DIR
    if not folder.is_dir():
        return False
    for marker in folder.iterdir():
        marker.unlink(missing_ok=True)
    remove_orphans(warehouse)
    folder.rmdir()
    return True


class Stager:
    """Writes the large inserts of a worker's change sets; opened when first needed."""

    def __init__(self, staging: Staging) -> None:
        self._staging = staging
        self._connection: duckdb.DuckDBPyConnection | None = None

    def stage(self, changes: Iterable[ChangeSet]) -> tuple[ChangeSet, ...]:
        """The changes, with large inserts in files.

        Raises:
            WarehouseError: the disk is full or fails; the run that it belongs to has ended.
            ValueError: rows do not fit the registry.
        """
        return tuple(self._staged(c) if self._large(c) else c for c in changes)

    def _large(self, change: ChangeSet) -> bool:
        if change.inserts is None or change.keep_first:
            return False
        # DuckLake keeps the least and greatest blob as hex, but of an added file as it is.
        blobs = any(pa.types.is_binary(column.type) for column in TABLES[change.table].columns)
        return change.inserts.nbytes >= self._staging.least_bytes and not blobs

    def _staged(self, change: ChangeSet) -> ChangeSet:
        rows = prepared_rows(change)
        if not rows.num_rows:
            return change
        name = f"staged-{self._staging.token}-{os.urandom(8).hex()}.parquet"
        folder = f"{self._staging.data.rstrip('/')}/main/{change.table}"
        file = StagedFile(f"{folder}/{name}", rows.num_rows, rows.nbytes)
        try:
            self._write(change.table, rows, file.path)
        except (duckdb.Error, OSError) as error:
            failure = disk_failure(error, self._staging.warehouse)
            raise failure or error from error
        self._require_going_on(change.table, rows, file.path)
        return replace(change, inserts=None, staged=(*change.staged, file))

    def _write(self, table: str, rows: pa.Table, path: str) -> None:
        if self._connection is None:
            self._connection = data_connection(self._staging.warehouse, threads=1)
            self._connection.execute("SET preserve_insertion_order = true")
        if "://" not in path:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        sizes = self._staging.row_groups
        self._connection.register(_ROWS, rows)
        try:
            self._connection.execute(
                f"COPY (FROM {_ROWS}) TO {_literal(path)} (FORMAT parquet, USE_TMP_FILE false, "
                f"ROW_GROUP_SIZE {sizes.get(table) or sizes['']})"
            )
        finally:
            self._connection.unregister(_ROWS)

    def _require_going_on(self, table: str, rows: pa.Table, path: str) -> None:
        if self._staging.marker.exists():
            return
        self._take_back(table, rows, path)
        raise WarehouseError(
            "the run that this slice belongs to has ended",
            self._staging.warehouse,
            "Nothing is lost: the next run does what is missing.",
        )

    def _take_back(self, table: str, rows: pa.Table, path: str) -> None:
        if "://" not in path:
            Path(path).unlink(missing_ok=True)
            return
        # DuckDB removes no object; emptied, it holds nothing of the log until a sweep finds it.
        with contextlib.suppress(duckdb.Error):
            self._write(table, rows.slice(0, 0), path)


def _open(warehouse: Warehouse, least_bytes: int) -> Staging:
    folder = warehouse.path / STAGING_DIR
    folder.mkdir(exist_ok=True)
    marker = folder / os.urandom(6).hex()
    marker.touch()
    return Staging(marker, warehouse.data_uri, least_bytes, _row_groups(warehouse))


def _close(warehouse: Warehouse, staging: Staging) -> None:
    """The marker first: what a worker completes from now on it takes back itself."""
    staging.marker.unlink(missing_ok=True)
    if _left(warehouse, staging):
        remove_orphans(warehouse)
    with contextlib.suppress(OSError):  # Another has its marker there, or has removed the folder.
        staging.marker.parent.rmdir()


def _left(warehouse: Warehouse, staging: Staging) -> bool:
    """Whether there are files of this run that no snapshot names: of slices built twice."""
    pattern = f"{staging.data.rstrip('/')}/main/*/staged-{staging.token}-*.parquet"
    written = warehouse.rows(f"SELECT file FROM glob({_literal(pattern)})")
    if not written:
        return False
    named = warehouse.rows(
        f"SELECT path FROM {METADATA}.ducklake_data_file "
        f"WHERE contains(path, 'staged-{staging.token}-')"
    )
    return len(written) > len(named)


def _row_groups(warehouse: Warehouse) -> dict[str, int]:
    rows = warehouse.rows(
        f"SELECT coalesce(split_part(scope_entry, '.', -1), ''), value::INT "
        f"FROM ducklake_options('{LAKE}') WHERE option_name = '{_ROW_GROUP_OPTION}'"
    )
    return {str(table): int(size) for table, size in rows}


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
