"""A quiet warehouse: its newest snapshot is old, and readers are on it when the next comes."""

from datetime import UTC, datetime, timedelta

from tests.transforms.warehouse.rows import messages
from transforms.warehouse.commit import commit, upsert
from transforms.warehouse.connection import METADATA, open_warehouse
from transforms.warehouse.housekeeping import HousekeepingPolicy, housekeep


def test_a_reader_on_an_old_snapshot_keeps_its_rows(folder) -> None:
    with open_warehouse(folder, threads=1) as writer:
        commit(writer, [upsert("messages", messages("c1", {"m1": "old"}))])
        # As after a quiet quarter of an hour.
        writer.connection.execute(
            f"UPDATE {METADATA}.ducklake_snapshot SET snapshot_time = ?",
            [str(datetime.now(UTC) - timedelta(minutes=15))],
        )
        writer.reconnect()
        with open_warehouse(folder, read_only=True, threads=1) as reader:
            reader.connection.execute("BEGIN")
            reader.rows("SELECT count(*) FROM sessions")
            commit(writer, [upsert("messages", messages("c1", {"m1": "new"}))])
            for _ in range(2):
                housekeep(writer, HousekeepingPolicy(), datetime.now(UTC))
            found = reader.rows("SELECT text FROM messages")
            reader.connection.execute("ROLLBACK")
    assert found == [("old",)]
