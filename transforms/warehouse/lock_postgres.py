"""Lock and queue of writers on PostgreSQL: they hold across machines.

Session-level advisory locks: the server releases them when the session ends, be it that the
process died (at once) or its machine (after the keepalives, about half a minute). A writer
whose own session was cut finds out before it writes again. What it had sent already cannot
come in later: who takes the lock first ends the connections that earlier writers left behind.
"""

import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from transforms.warehouse.errors import WarehouseError
from transforms.warehouse.lock import POLL_SECONDS, WriteLock
from transforms.warehouse.postgres import LOCK, WRITER, PostgresAddress, run

if TYPE_CHECKING:
    import psycopg

# "mfkw"; advisory locks are counted per database, and a warehouse has one of its own.
_SPACE = 0x6D666B77
_WRITE, _QUEUE = 1, 2
_HELD = (
    "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() "
    "AND classid = %s AND objid = %s AND objsubid = 2 AND granted"
)
_LOOK_SECONDS = 0.2
_LEFT_SECONDS = 60.0


class AdvisoryLock(WriteLock):
    """The write lock of the database at an address; a connection while it is held."""

    def __init__(self, address: PostgresAddress) -> None:
        self._address = address
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self._looked = -_LOOK_SECONDS
        self._wanted = False

    def acquire(self, timeout: float, waiting: Callable[[], None] | None = None) -> None:
        """See `WriteLock`; WarehouseError also where the server cannot be reached."""
        deadline = time.monotonic() + timeout
        try:
            with self._address.failures():
                self._take(_QUEUE, deadline, waiting)
                self._take(_WRITE, deadline, waiting)
                self._ask("SELECT pg_advisory_unlock(%s, %s)", _SPACE, _QUEUE)
                self._end_earlier_writers()
        except BaseException:
            self.release()
            raise
        self._looked = -_LOOK_SECONDS

    def release(self) -> None:
        """See `WriteLock`."""
        if self._connection is not None:
            # At once, and not only when the server notices that the session has ended.
            with contextlib.suppress(WarehouseError):
                self._ask("SELECT pg_advisory_unlock_all()")
            self._connection.close()
            self._connection = None

    def wanted(self) -> bool:
        """See `WriteLock`; asks the server at most five times a second."""
        now = time.monotonic()
        if now - self._looked >= _LOOK_SECONDS or self._wanted:
            self._looked = now
            self._wanted = self._holder(_QUEUE) is not None
        return self._wanted

    def require_held(self) -> None:
        """See `WriteLock`; one round trip to the server."""
        import psycopg  # noqa: PLC0415

        connection = self._connection
        try:
            # Not only whether it answers: to look for others, `wanted` opens one without the lock.
            if connection is not None and run(connection, _HELD, [_SPACE, _WRITE]):
                return
        except psycopg.Error:
            pass
        self.release()
        raise WarehouseError(
            "the write lock was lost: its connection to the catalog's server was cut",
            str(self._address),
            "Nothing is half-committed; run the same command again.",
        )

    def _take(self, which: int, deadline: float, waiting: Callable[[], None] | None) -> None:
        while not self._ask("SELECT pg_try_advisory_lock(%s, %s)", _SPACE, which):
            if time.monotonic() >= deadline:
                raise self._busy()
            if waiting is not None:
                waiting()
            time.sleep(POLL_SECONDS)

    def _end_earlier_writers(self) -> None:
        """End connections that a dead or cut-off writer has left, and what they had begun."""
        others = (
            "FROM pg_stat_activity WHERE datname = current_database() AND application_name = %s"
        )
        run(self._open(), f"SELECT pg_terminate_backend(pid) {others}", [WRITER])
        deadline = time.monotonic() + _LEFT_SECONDS
        while self._ask(f"SELECT count(*) {others}", WRITER):
            if time.monotonic() >= deadline:
                raise WarehouseError(
                    "connections of an earlier writer do not end",
                    str(self._address),
                    "End them on the server (pg_terminate_backend), then run this again.",
                )
            time.sleep(POLL_SECONDS)

    def _busy(self) -> WarehouseError:
        holder = self._holder(_WRITE)
        return WarehouseError(
            f"another process ({holder or 'unknown'}) is writing to this warehouse",
            str(self._address),
            "Wait until it has finished, or open the warehouse read-only.",
        )

    def _holder(self, which: int) -> str | None:
        """Host and process id of who has a lock, and is not us; None for nobody."""
        with self._address.failures():
            found = run(
                self._open(),
                "SELECT coalesce(a.application_name, '') FROM pg_locks l "
                "LEFT JOIN pg_stat_activity a USING (pid) WHERE l.locktype = 'advisory' "
                "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
                "AND l.classid = %s AND l.objid = %s AND l.objsubid = 2 AND l.granted "
                "AND l.pid <> pg_backend_pid()",
                [_SPACE, which],
            )
        if not found:
            return None
        host, _, pid = str(found[0][0]).removeprefix(f"{LOCK} ").rpartition(" ")
        return f"id {pid} on {host}" if host else "unknown"

    def _ask(self, sql: str, *parameters: object) -> Any:
        with self._address.failures():
            return run(self._open(), sql, list(parameters))[0][0]

    def _open(self) -> "psycopg.Connection[tuple[Any, ...]]":
        if self._connection is None:
            self._connection = self._address.connect(LOCK)
        return self._connection
