"""A writer that loses the lock in the middle of something: another may be writing by then."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import duckdb
import pytest

from tests.transforms.warehouse.rows import messages
from transforms.warehouse import commit as commit_module
from transforms.warehouse.commit import ChangeSet, commit
from transforms.warehouse.connection import Warehouse
from transforms.warehouse.erasure import _set_statistics
from transforms.warehouse.errors import WarehouseError
from transforms.warehouse.housekeeping import HousekeepingPolicy, housekeep
from transforms.warehouse.lock import FileLock
from transforms.warehouse.lock_postgres import AdvisoryLock
from transforms.warehouse.maintenance import call
from transforms.warehouse.postgres import PostgresAddress
from transforms.warehouse.read import read_table

CHANGE = [ChangeSet("messages", inserts=messages("c1", {"m1": "hello"}))]


class LosableLock(FileLock):
    """Lost after so many questions."""

    left = 0

    def require_held(self) -> None:
        if self.left <= 0:
            raise WarehouseError("the write lock was lost", "here", "Run again.")
        self.left -= 1


@pytest.fixture
def lock(warehouse: Warehouse, tmp_path: Path) -> LosableLock:
    losable = LosableLock(tmp_path)
    warehouse._lock = losable
    return losable


def test_what_was_begun_is_not_committed(warehouse: Warehouse, lock: LosableLock) -> None:
    before = warehouse.current_snapshot()
    lock.left = 1
    with pytest.raises(WarehouseError, match="lock was lost"):
        commit(warehouse, CHANGE)
    assert (warehouse.current_snapshot(), read_table(warehouse, "messages").num_rows) == (before, 0)
    lock.left = 2
    commit(warehouse, CHANGE)
    assert read_table(warehouse, "messages").num_rows == 1


@pytest.mark.parametrize("lost", [True, False])
def test_files_that_another_has_not_committed_yet_stay(
    warehouse: Warehouse, lock: LosableLock, monkeypatch: pytest.MonkeyPatch, lost: bool
) -> None:
    """What the commit that fails has left goes only as long as nobody else may write."""
    folder = warehouse.data_path / "main" / "messages"
    folder.mkdir(parents=True)
    others = folder / "not-committed-yet.parquet"
    others.write_bytes(b"rows")

    def cut_off(*_: object) -> None:
        lock.left = 0 if lost else 1
        raise duckdb.IOException("server closed the connection unexpectedly")

    monkeypatch.setattr(commit_module, "_insert", cut_off)
    lock.left = 9
    with pytest.raises(WarehouseError, match="connection to the catalog's server was lost"):
        commit(warehouse, CHANGE)
    assert others.exists() == lost


def test_upkeep_asks_before_each_step(warehouse: Warehouse, lock: LosableLock) -> None:
    with pytest.raises(WarehouseError, match="lock was lost"):
        call(warehouse, "ducklake_cleanup_old_files('lake', cleanup_all => true)")
    with pytest.raises(WarehouseError, match="lock was lost"):
        housekeep(warehouse, HousekeepingPolicy(), cast("Any", None))
    with pytest.raises(WarehouseError, match="lock was lost"):
        _set_statistics(warehouse, [{"table_id": 1, "column_id": 1, "low": "a", "high": "b"}])


class Session:
    """A session of the server, with what it answers to each question."""

    def __init__(self, locked: bool) -> None:
        self.locked = locked
        self.description = "there are rows"
        self.asked = ""

    def execute(self, sql: str, _: object = None) -> "Session":
        self.asked = sql
        return self

    def fetchall(self) -> list[tuple[int]]:
        rows = self.locked if "pg_locks" in self.asked else True
        return [(1,)] if rows else []

    def close(self) -> None: ...


@pytest.mark.parametrize("locked", [True, False])
def test_a_session_without_the_lock_is_not_taken_for_it(
    locked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as one that was opened to see who waits, after the lock's own was cut."""
    address = PostgresAddress("host=db", Path("warehouse.yaml"))
    monkeypatch.setattr(address, "connect", lambda _: Session(locked))
    monkeypatch.setattr(address, "failures", nullcontext)
    advisory = AdvisoryLock(address)
    with pytest.raises(WarehouseError, match="lock was lost"):
        advisory.require_held()
    advisory._open()
    refused = nullcontext() if locked else pytest.raises(WarehouseError, match="lock was lost")
    with refused:
        advisory.require_held()
