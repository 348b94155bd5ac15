"""The catalog as a SQLite file of the folder, in WAL mode: the default."""

import os
import shutil
import sqlite3
import tempfile
from pathlib import Path

from transforms.warehouse.errors import WarehouseError
from transforms.warehouse.lock import FileLock, WriteLock

CATALOG_FILE = "catalog.sqlite"
CATALOG_FILES = (
    CATALOG_FILE,
    f"{CATALOG_FILE}-wal",
    f"{CATALOG_FILE}-shm",
    f"{CATALOG_FILE}-journal",
)
_BUSY_TIMEOUT_MS = 10_000


class SqliteCatalog:
    """A `CatalogStore`; locked by a file of the folder."""

    extensions: tuple[str, ...] = ()
    lost = "Restore the file, or build the warehouse again from the log."

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._copy: tempfile.TemporaryDirectory[str] | None = None

    @property
    def where(self) -> Path:
        """The file."""
        return self._folder / CATALOG_FILE

    def source(self, read_only: bool) -> tuple[str, list[str]]:
        """See `CatalogStore`."""
        options = [f"META_BUSY_TIMEOUT {_BUSY_TIMEOUT_MS}"]
        options += [] if read_only else ["META_JOURNAL_MODE 'WAL'"]
        return f"sqlite:{self._attachable(read_only)}", options

    def lock(self) -> WriteLock:
        """See `CatalogStore`."""
        return FileLock(self._folder)

    def claim(self, identity: str) -> None:
        """A file of the folder belongs to the folder."""

    def check(self, identity: str) -> None:
        """A file of the folder belongs to the folder."""

    def scrub(self, wait_ms: int) -> None:
        """Rewrite the file without free pages and empty its write-ahead log.

        DuckDB lets go of the file first: two SQLite libraries of one process on one file would
        drop each other's locks.
        """
        connection = sqlite3.connect(self.where, isolation_level=None)
        try:
            connection.execute(f"PRAGMA busy_timeout = {wait_ms}")
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute("VACUUM")
            busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except sqlite3.OperationalError as error:
            raise WarehouseError(
                f"the catalog could not be scrubbed: {error}",
                self.where,
                "Close other readers of the warehouse and run the same command again.",
            ) from error
        finally:
            connection.close()
        if busy:
            raise WarehouseError(
                "a reader keeps the write-ahead log of the catalog",
                self.where,
                "Close other readers of the warehouse and run the same command again.",
            )

    def outside_bytes(self) -> int:
        """It is in the folder."""
        return 0

    def close(self) -> None:
        """Remove the private copy, if there is one."""
        if self._copy is not None:
            self._copy.cleanup()
            self._copy = None

    def _attachable(self, read_only: bool) -> Path:
        """The catalog, or a private copy where the folder is not writable.

        SQLite needs to write next to a WAL database even to read it.
        """
        if not read_only or os.access(self._folder, os.W_OK):
            return self.where
        if self._copy is None:
            self._copy = tempfile.TemporaryDirectory(prefix="memoryflow-")
            for suffix in ("", "-wal"):
                source = self._folder / f"{CATALOG_FILE}{suffix}"
                if source.exists():
                    shutil.copyfile(source, Path(self._copy.name) / source.name)
        return Path(self._copy.name) / CATALOG_FILE
