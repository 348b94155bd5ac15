"""Connections to the PostgreSQL database of a catalog, and what their failures mean."""

import os
import re
import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, LiteralString, cast

from transforms.warehouse.errors import WarehouseError

if TYPE_CHECKING:
    import psycopg

READER, WRITER, LOCK = "memoryflow reader", "memoryflow writer", "memoryflow lock"
# A busy server takes its time to answer; nobody there is told at once.
_CONNECT_SECONDS = 30
# A server that sees no sign of life from the holder of a lock lets go of it after this time.
_KEEPALIVE = {"tcp_keepalives_idle": 15, "tcp_keepalives_interval": 5, "tcp_keepalives_count": 3}
_FIXES: tuple[tuple[str, str], ...] = (
    ("no password supplied", "Set PGPASSWORD, or name a file with PGPASSFILE."),
    ("password authentication failed", "Check user and PGPASSWORD (or PGPASSFILE)."),
    ("does not exist", "Create it (createdb, createuser), or correct `catalog` in the file."),
    ("no pg_hba.conf entry", "Let this host in on the server (pg_hba.conf)."),
    ("could not translate host name", "Correct the host in `catalog`."),
    ("too many clients", "Raise max_connections: each process takes up to four connections."),
    ("permission denied", "The user must own the database of the catalog."),
    (
        "lock timeout",
        "Close readers of the warehouse and other transactions on it (pg_stat_activity), then run "
        "the same command again.",
    ),
)
# Of libpq's words, those that are a secret themselves, and not the name of a file with one.
_SECRET_WORDS = re.compile(r"password|secret|^scram_")
_REACH = "Check that the server runs and that host and port in `catalog` are right."


class PostgresAddress:
    """Where the catalog's database is, as libpq takes it; never with a password."""

    def __init__(self, words: str, file: Path) -> None:
        self._given = words
        self.file = file
        self.parts = self._parts()

    def words(self, role: str) -> str:
        """Connection words of a connection that says what it is for."""
        from psycopg.conninfo import make_conninfo  # noqa: PLC0415

        return make_conninfo(**(self.parts | {"application_name": role}))

    def __str__(self) -> str:
        named = [name for name in ("service", "host", "port", "dbname") if name in self.parts]
        return " ".join(["PostgreSQL", *(f"{name}={self.parts[name]}" for name in named)])

    @contextmanager
    def connected(self, role: str) -> Generator["psycopg.Connection[tuple[Any, ...]]"]:
        """An autocommit connection for the length of the block; errors as WarehouseError."""
        with self.failures():
            connection = self.connect(role)
            try:
                yield connection
            finally:
                connection.close()

    def connect(self, role: str) -> "psycopg.Connection[tuple[Any, ...]]":
        """An autocommit connection; psycopg's errors."""
        import psycopg  # noqa: PLC0415

        name = f"{role} {socket.gethostname()[:32]} {os.getpid()}"
        connection = psycopg.connect(self.words(name), autocommit=True)
        for setting, value in _KEEPALIVE.items():
            run(connection, f"SET {setting} = {value}")
        return connection

    @contextmanager
    def failures(self) -> Generator[None]:
        """WarehouseError for psycopg's errors in this block."""
        import psycopg  # noqa: PLC0415

        try:
            yield
        except psycopg.Error as error:
            raise self.failure(str(error)) from error

    def failure(self, message: str) -> WarehouseError:
        """What a message of libpq or of the server says, and what can be done."""
        text = " ".join(message.split()).removeprefix("connection failed: ")
        fix = next((fix for mark, fix in _FIXES if mark in text), _REACH)
        return WarehouseError(f"the catalog in {self} cannot be used: {text}", self.file, fix)

    def _parts(self) -> dict[str, str]:
        try:
            import psycopg  # noqa: PLC0415
            from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415
        except ImportError as error:
            raise missing_package("psycopg", "a catalog in PostgreSQL", self.file) from error
        try:
            found = conninfo_to_dict(self._given)
        except psycopg.Error:
            # Its message repeats what it does not understand.
            raise WarehouseError(
                "catalog: the words after 'postgres:' are not those of libpq",
                self.file,
                'For instance "postgres:host=db port=5432 dbname=memory user=memory".',
            ) from None
        secret = sorted(name for name in found if _SECRET_WORDS.search(name))
        if secret:
            raise WarehouseError(
                f"catalog: {secret[0]} may not stand here",
                self.file,
                "Set PGPASSWORD, or name a file with PGPASSFILE.",
            )
        parts = {name: str(value) for name, value in found.items() if value is not None}
        return {"connect_timeout": str(_CONNECT_SECONDS)} | parts


def run(
    connection: "psycopg.Connection[tuple[Any, ...]]",
    sql: str,
    parameters: list[object] | None = None,
) -> list[tuple[Any, ...]]:
    """Execute; the rows, none for a command. `sql` comes from this code alone."""
    cursor = connection.execute(cast("LiteralString", sql), parameters)
    return cursor.fetchall() if cursor.description else []


def missing_package(package: str, what: str, file: Path) -> WarehouseError:
    """An extra that is not installed."""
    return WarehouseError(
        f"{what} needs the package {package}", file, "Install memoryflow[cluster]."
    )
