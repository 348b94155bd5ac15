"""Opening a warehouse: extensions, catalog, schema version, settings.

A warehouse is a folder:
    catalog.sqlite   DuckLake catalog, in WAL mode so that readers never block the committer
    data/            Parquet
    warehouse.yaml   if a person put it there: catalog in PostgreSQL, Parquet in S3: see location
    warehouse.id     then: marks what is outside as this folder's
    kv/              tensor files of kv_episodes, where history is replayed: see kv_files
    memoryflow.json  marker, written last when the warehouse is made: format version
    write.lock       held by the process that has it open for writing
    write.queue      held by the process that waits for write.lock
    staging/         a mark for as long as workers may write Parquet themselves: see staging
    tmp/             what DuckDB spills; emptied by the next writer after a crash
"""

import importlib.util
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb
import pyarrow as pa

from transforms.warehouse import catalog
from transforms.warehouse.catalog_sqlite import CATALOG_FILES
from transforms.warehouse.data_local import DATA_DIR
from transforms.warehouse.errors import WarehouseError
from transforms.warehouse.identity import IDENTITY_FILE, LOCATION_FILE, require_outside
from transforms.warehouse.lock import LOCK_FILE, QUEUE_FILE, WriteLock
from transforms.warehouse.remote_failures import remote_failures
from transforms.warehouse.retry import with_retry
from transforms.warehouse.stores import Stores, stores_of

JOURNAL_DIR = "journal"
SPILL_DIR = "tmp"
LAKE = "lake"
METADATA = f"__ducklake_metadata_{LAKE}"
_EXTENSIONS = ("sqlite_scanner", "ducklake")
_OWN_FOLDERS = (DATA_DIR, JOURNAL_DIR, SPILL_DIR)
# What a half-made warehouse (killed while it was created) may hold.
_OWN_FILES = {
    *CATALOG_FILES,
    *_OWN_FOLDERS,
    LOCK_FILE,
    QUEUE_FILE,
    LOCATION_FILE,
    IDENTITY_FILE,
    f"{catalog.MARKER_FILE}.tmp",
}


class Warehouse:
    """An open warehouse; close it, or use it as a context manager.

    `connection` is a DuckDB connection whose default database is the lake, so that memory
    tables and views go by their plain names. One thread at a time.
    """

    def __init__(
        self,
        stores: Stores,
        *,
        read_only: bool,
        threads: int | None,
        memory_limit: str | None,
        lock: WriteLock | None,
    ) -> None:
        self.path = stores.folder
        self.stores = stores
        self.read_only = read_only
        self._threads = threads
        self._memory_limit = memory_limit
        self._lock = lock
        self._spill: tempfile.TemporaryDirectory[str] | None = None
        self._connection: duckdb.DuckDBPyConnection | None = None
        self.reconnect()

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The DuckDB connection; WarehouseError once closed."""
        if self._connection is None:
            raise WarehouseError("the warehouse is closed", self.path, "Open it again.")
        return self._connection

    @property
    def data_path(self) -> Path:
        """Folder of the Parquet files; WarehouseError where they are in an object store."""
        return self.stores.data.folder

    @property
    def data_uri(self) -> str:
        """Where the Parquet files are, as DuckDB takes it: a folder, or s3://BUCKET/..."""
        return self.stores.data.uri

    def query(self, sql: str, parameters: Sequence[object] | None = None) -> pa.Table:
        """Result of `sql` as Arrow, retried while the catalog is busy."""
        with remote_failures(self.stores):
            return with_retry(
                lambda: self.connection.execute(sql, parameters or None).to_arrow_table()
            )

    def rows(self, sql: str, parameters: Sequence[object] | None = None) -> list[tuple[Any, ...]]:
        """Result of `sql` as tuples, retried while the catalog is busy."""
        with remote_failures(self.stores):
            return with_retry(lambda: self.connection.execute(sql, parameters or None).fetchall())

    def current_snapshot(self) -> int:
        """Id of the latest snapshot."""
        return int(self.rows(f"SELECT id FROM ducklake_current_snapshot('{LAKE}')")[0][0])

    def require_writable(self) -> None:
        """WarehouseError unless it was opened for writing, and the lock still is ours."""
        if self.read_only:
            raise WarehouseError(
                "the warehouse is open read-only", self.path, "Open it without read_only=True."
            )
        if self._lock is not None and self._connection is not None:
            self._lock.require_held()

    def disconnect(self) -> None:
        """Close the DuckDB connection (and with it the catalog file) but keep the write lock."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def reconnect(self) -> None:
        """Open the DuckDB connection (again)."""
        self.disconnect()
        try:
            self._connection = with_retry(self._connect)
        except duckdb.Error as error:
            raise WarehouseError(
                f"the catalog cannot be opened: {str(error).splitlines()[0]}",
                self.stores.catalog.where,
                self.stores.catalog.lost,
            ) from error

    def wanted(self) -> bool:
        """Whether another process waits to write; cheap enough for every turn of a loop."""
        return self._lock is not None and self._lock.wanted()

    def hand_over(
        self,
        max_wait: float = 10.0,
        timeout: float = math.inf,
        waiting: Callable[[], None] | None = None,
    ) -> None:
        """Let a waiting writer have the warehouse, then wait for it to come back.

        Closes the connection and the lock; gives the waiter `max_wait` seconds to take it;
        queues up again for at most `timeout` seconds (`waiting` is called meanwhile and may
        raise to give up); connects and checks the tables as on opening. Everything read
        before may have changed. Where it raises, the warehouse is closed.
        """
        self.require_writable()
        if self._lock is None:
            raise WarehouseError("the warehouse has no lock", self.path, "Open it again.")
        self.disconnect()
        self._lock.hand_over(max_wait, timeout, waiting)
        try:
            catalog.check_marker(self.path, self.stores.kinds)
            shutil.rmtree(self.path / SPILL_DIR, ignore_errors=True)
            self.reconnect()
            catalog.ensure_tables(self.connection, self.path, self.stores.kinds)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection and let the next writer in."""
        self.disconnect()
        if self._lock is not None:
            self._lock.release()
        self.stores.catalog.close()
        if self._spill is not None:
            self._spill.cleanup()
            self._spill = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _connect(self) -> duckdb.DuckDBPyConnection:
        connection = data_connection(self.stores, self._threads, self._memory_limit)
        try:
            connection.execute(f"SET temp_directory = {_quote(self._spill_path())}")
            source, options = self.stores.catalog.source(self.read_only)
            # OVERRIDE: the catalog records an absolute path; a warehouse may be moved.
            # Inlining is off, so that no memory text is ever in the catalog's own tables.
            options += [
                f"DATA_PATH {_quote(f'{self.data_uri}/')}",
                "OVERRIDE_DATA_PATH true",
                "DATA_INLINING_ROW_LIMIT 0",
            ]
            if self.read_only:
                options.append("READ_ONLY")
            connection.execute(
                f"ATTACH {_quote(f'ducklake:{source}')} AS {LAKE} ({', '.join(options)})"
            )
            connection.execute(f"USE {LAKE}")
        except BaseException:
            connection.close()
            raise
        return connection

    def _spill_path(self) -> str:
        """Spilled rows are memory text: a writer's stay in the warehouse, where erasure looks."""
        if not self.read_only:
            return str(self.path / SPILL_DIR)
        # Its name cannot be guessed, and only this user may look into it.
        self._spill = self._spill or tempfile.TemporaryDirectory(prefix="memoryflow-spill-")
        return self._spill.name


def open_warehouse(
    path: Path | str,
    *,
    read_only: bool = False,
    threads: int | None = None,
    memory_limit: str | None = None,
    lock_timeout: float = 30.0,
) -> Warehouse:
    """Open the warehouse at `path`; without `read_only`, make it if it is missing.

    `threads` and `memory_limit` (e.g. '4GB') go to DuckDB. A writer waits `lock_timeout`
    seconds for another writer. Raises WarehouseError: missing folder or warehouse
    (read-only), a folder with other things in it, an unwritable folder, another format, a wrong
    warehouse.yaml, a server that cannot be reached or refuses.
    """
    folder = Path(path).expanduser().resolve()
    stores = stores_of(folder)
    if read_only:
        _check_readable(stores)
        return Warehouse(
            stores, read_only=True, threads=threads, memory_limit=memory_limit, lock=None
        )
    _prepare_folder(stores)
    lock = stores.catalog.lock()
    lock.acquire(lock_timeout)
    shutil.rmtree(folder / SPILL_DIR, ignore_errors=True)
    try:
        stores.claim()
        warehouse = Warehouse(
            stores, read_only=False, threads=threads, memory_limit=memory_limit, lock=lock
        )
    except BaseException:
        lock.release()
        raise
    try:
        catalog.ensure_tables(warehouse.connection, folder, stores.kinds)
    except BaseException:
        warehouse.close()
        raise
    return warehouse


def data_connection(
    where: Stores | Path, threads: int | None = None, memory_limit: str | None = None
) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB that may read and write Parquet where the warehouse at `where` keeps it.

    Without the catalog: for a worker that writes files below `Warehouse.data_uri`.
    WarehouseError: an extension or the environment variable of a secret is missing.
    """
    stores = where if isinstance(where, Stores) else stores_of(where)
    extensions = (*stores.catalog.extensions, *stores.data.extensions)
    connection = new_connection(threads, memory_limit, extensions)
    try:
        stores.data.admit(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def new_connection(
    threads: int | None = None, memory_limit: str | None = None, extensions: Sequence[str] = ()
) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB with the extensions loaded and nothing fetched or written to HOME.

    `extensions`: those to load besides the ones of every warehouse.
    """
    config: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "preserve_insertion_order": False,
        "python_enable_replacements": False,
    }
    if threads is not None:
        config["threads"] = threads
    if memory_limit is not None:
        config["memory_limit"] = memory_limit
    connection = duckdb.connect(":memory:", config=config)
    try:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET enable_progress_bar = false")
        for name in (*_EXTENSIONS, *extensions):
            _load_extension(connection, name)
    except BaseException:
        connection.close()
        raise
    return connection


def _load_extension(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """LOAD from the Python package; else what DuckDB itself has installed."""
    package = f"duckdb_extension_{name}"
    spec = importlib.util.find_spec(package)
    for root in (spec.submodule_search_locations or []) if spec else []:
        file = Path(root) / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
        if file.exists():
            connection.execute(f"LOAD {_quote(str(file))}")
            return
    try:
        connection.execute(f"LOAD {name}")
    except duckdb.Error as error:
        raise WarehouseError(
            f"DuckDB extension {name!r} for DuckDB {duckdb.__version__} not found: {error}",
            package,
            f"Install the package {package.replace('_', '-')} in the version of duckdb.",
        ) from error


def _check_readable(stores: Stores) -> None:
    folder = stores.folder
    if not folder.is_dir():
        raise WarehouseError("no such warehouse", folder, "Check the path, or build it first.")
    if not (folder / catalog.MARKER_FILE).exists():
        raise WarehouseError(
            "the folder is not a finished warehouse",
            folder,
            "Check the path, or build it with `memoryflow run`.",
        )
    catalog.check_marker(folder, stores.kinds)
    stores.check()


def _require_no_pattern(folder: Path) -> None:
    """DuckLake finds orphans by a pattern: in `team*` it would remove files of others, too.

    A backslash separates folders in it, so that `a\\b` would find those of `a/b`.
    """
    found = next((character for character in "*?[\\" if character in str(folder)), None)
    if found:
        raise WarehouseError(
            f"the path of a warehouse cannot hold {found!r}, which means a pattern to DuckDB",
            folder,
            "Choose another path, or rename the folder.",
        )


def _foreign_files(folder: Path) -> list[str]:
    """What somebody else has in a folder without a marker: it would be emptied by upkeep."""
    if (folder / LOCK_FILE).exists():  # Half made: killed before it had a marker.
        return sorted({entry.name for entry in folder.iterdir()} - _OWN_FILES)
    prepared = {LOCATION_FILE, IDENTITY_FILE}
    # On another disk, perhaps.
    prepared |= {name for name in _OWN_FOLDERS if _is_empty_folder(folder / name)}
    return sorted({entry.name for entry in folder.iterdir()} - prepared)


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _prepare_folder(stores: Stores) -> None:
    folder = stores.folder
    _require_no_pattern(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WarehouseError(
            f"the folder cannot be made: {error.strerror}", folder, "Choose another path."
        ) from error
    if (folder / catalog.MARKER_FILE).exists():
        catalog.check_marker(folder, stores.kinds)
    else:
        require_outside(folder)
        foreign = _foreign_files(folder)
        if foreign:
            raise WarehouseError(
                f"the folder is not a warehouse: it holds {foreign[0]!r}",
                folder,
                "Name an empty or a new folder.",
            )
    if not os.access(folder, os.W_OK):
        raise WarehouseError(
            "the folder is not writable", folder, "Change its permissions, or open it read-only."
        )
    if "data" not in stores.kinds:
        (folder / DATA_DIR).mkdir(exist_ok=True)


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
