"""The catalog as tables of a PostgreSQL database, which belongs to this warehouse alone."""

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transforms.warehouse.errors import WarehouseError
from transforms.warehouse.identity import foreign, in_use
from transforms.warehouse.lock import POLL_SECONDS, WriteLock
from transforms.warehouse.lock_postgres import AdvisoryLock
from transforms.warehouse.postgres import READER, WRITER, PostgresAddress, run

if TYPE_CHECKING:
    import psycopg

_OWNER_TABLE = "memoryflow_warehouse"
_LAKE_TABLE = "ducklake_metadata"
_ROLE = "memoryflow"
# To the type that it has, which changes nothing but drops the samples: a function for that is new
# in PostgreSQL 18, and the table of samples is the superuser's.
_DROP_SAMPLES = (
    "SELECT format('ALTER TABLE %%s ALTER COLUMN %%I TYPE %%s', a.attrelid::regclass, a.attname, "
    "format_type(a.atttypid, a.atttypmod)) FROM pg_attribute a "
    "JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
    "JOIN pg_stats s ON (s.schemaname, s.tablename, s.attname) = (n.nspname, c.relname, a.attname) "
    "WHERE a.attrelid = %s::regclass ORDER BY a.attnum"
)


class PostgresCatalog:
    """A `CatalogStore`; locked by the server's advisory locks."""

    extensions: tuple[str, ...] = ("postgres_scanner",)
    lost = "Restore the database, or build the warehouse again from the log into a new one."

    def __init__(self, address: PostgresAddress, folder: Path) -> None:
        self._address = address
        self._folder = folder

    @property
    def where(self) -> str:
        """Host and database."""
        return str(self._address)

    def source(self, read_only: bool) -> tuple[str, list[str]]:
        """See `CatalogStore`."""
        return f"postgres:{self._address.words(READER if read_only else WRITER)}", []

    def lock(self) -> WriteLock:
        """See `CatalogStore`."""
        return AdvisoryLock(self._address)

    def claim(self, identity: str) -> None:
        """See `CatalogStore`."""
        with self._address.connected(_ROLE) as connection:
            if _owner(connection) is None:
                self._require_unused(connection)
                run(connection, f"CREATE TABLE IF NOT EXISTS {_OWNER_TABLE} (id text NOT NULL)")
                run(connection, f"INSERT INTO {_OWNER_TABLE} VALUES (%s)", [identity])
            self._require_ours(connection, identity)

    def check(self, identity: str) -> None:
        """See `CatalogStore`."""
        with self._address.connected(_ROLE) as connection:
            self._require_ours(connection, identity)

    def scrub(self, wait_ms: int) -> None:
        """Rewrite all tables of the catalog, and the planner's samples of their values.

        VACUUM FULL leaves out what an older transaction may still see: then it is tried again,
        until `wait_ms` have passed. Not rewritten: the write-ahead log, archives and backups.
        """
        deadline = time.monotonic() + wait_ms / 1000
        with self._address.connected(_ROLE) as connection:
            run(connection, f"SET lock_timeout = {max(1, wait_ms)}")
            remarks = _Remarks(connection)
            for table in _tables(connection):
                self._rewrite(connection, table, remarks, deadline)
                _sample_anew(connection, table)
            self._rewrite(connection, "pg_catalog.pg_statistic", remarks, deadline)

    def outside_bytes(self) -> int:
        """Size of the database."""
        with self._address.connected(_ROLE) as connection:
            return int(run(connection, "SELECT pg_database_size(current_database())")[0][0])

    def close(self) -> None:
        """Connections are closed where they are used."""

    def _require_unused(self, connection: "psycopg.Connection[tuple[Any, ...]]") -> None:
        """WarehouseError for another program's DuckLake: its snapshots and files would go."""
        if run(connection, f"SELECT to_regclass('{_LAKE_TABLE}')")[0][0] is not None:
            raise in_use(self.where, _LAKE_TABLE, self._folder)

    def _require_ours(
        self, connection: "psycopg.Connection[tuple[Any, ...]]", identity: str
    ) -> None:
        owner = _owner(connection)
        if owner is None:
            raise WarehouseError(
                "the database holds no warehouse",
                self.where,
                f"Correct `catalog` in {self._address.file}, or restore the database.",
            )
        if owner != identity:
            raise foreign(self.where, owner, self._folder)

    def _rewrite(
        self,
        connection: "psycopg.Connection[tuple[Any, ...]]",
        table: str,
        remarks: "_Remarks",
        deadline: float,
    ) -> None:
        while True:
            remarks.clear()
            run(connection, f"VACUUM (FULL, VERBOSE) {table}")
            if remarks.warnings:
                raise WarehouseError(
                    f"{table} could not be rewritten: {remarks.warnings[0]}",
                    self.where,
                    "The user must own the database; then run the same command again.",
                )
            if not remarks.kept:
                return
            if time.monotonic() >= deadline:
                raise WarehouseError(
                    f"a transaction on the server keeps deleted rows of {table}",
                    self.where,
                    "Close readers of the warehouse, open transactions and replication slots "
                    "(pg_stat_activity, pg_replication_slots), then run the same command again.",
                )
            time.sleep(POLL_SECONDS)


class _Remarks:
    """What the server says of VACUUM VERBOSE: warnings, and dead rows that it had to keep."""

    def __init__(self, connection: "psycopg.Connection[tuple[Any, ...]]") -> None:
        self.warnings: list[str] = []
        self.kept = 0
        connection.add_notice_handler(self._note)

    def clear(self) -> None:
        """Forget those so far."""
        self.warnings.clear()
        self.kept = 0

    def _note(self, remark: "psycopg.errors.Diagnostic") -> None:
        if remark.severity_nonlocalized == "WARNING":
            self.warnings.append(str(remark.message_primary))
        # "2 dead row versions cannot be removed yet", in the language of the server.
        if number := re.match(r"\D*(\d+)", remark.message_detail or ""):
            self.kept += int(number[1])


def _owner(connection: "psycopg.Connection[tuple[Any, ...]]") -> str | None:
    """Id of the warehouse whose catalog this is; None for nobody's."""
    if run(connection, f"SELECT to_regclass('{_OWNER_TABLE}')")[0][0] is None:
        return None
    found = run(connection, f"SELECT id FROM {_OWNER_TABLE}")
    return str(found[0][0]) if found else None


def _sample_anew(connection: "psycopg.Connection[tuple[Any, ...]]", table: str) -> None:
    """Leave no sample of values that are gone; ANALYZE leaves those of a table without rows."""
    if not run(connection, f"SELECT 1 FROM {table} LIMIT 1"):
        for (statement,) in run(connection, _DROP_SAMPLES, [table]):
            run(connection, str(statement))
    run(connection, f"ANALYZE {table}")


def _tables(connection: "psycopg.Connection[tuple[Any, ...]]") -> list[str]:
    found = run(
        connection,
        "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables "
        "WHERE schemaname = current_schema() ORDER BY tablename",
    )
    return [str(name) for (name,) in found]
