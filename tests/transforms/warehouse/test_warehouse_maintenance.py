from datetime import timedelta

import pyarrow as pa
import pyarrow.parquet as pq

from tests.transforms.warehouse.rows import messages
from transforms.warehouse.commit import ChangeSet, commit
from transforms.warehouse.connection import Warehouse
from transforms.warehouse.maintenance import live_files, maintain, needs_maintenance
from transforms.warehouse.read import read_table


def test_small_files_are_merged_and_rows_stay(warehouse: Warehouse) -> None:
    for number in range(6):
        rows = messages(f"c{number}", {"m1": "one", "m2": "two"})
        commit(warehouse, [ChangeSet("messages", inserts=rows)])
    gone = pa.table({"tenant": ["default"], "conversation_id": ["c3"]})
    commit(warehouse, [ChangeSet("messages", deletes=gone)])
    order = [("conversation_id", "ascending"), ("message_id", "ascending")]
    before = read_table(warehouse, "messages").sort_by(order)
    then = warehouse.current_snapshot() - 1
    orphan = warehouse.data_path / "main" / "messages" / "left-by-a-killed-writer.parquet"
    pq.write_table(pa.table({"text": ["x"]}), orphan)
    assert needs_maintenance(warehouse, max_files=3)
    report = maintain(warehouse)
    assert report.snapshots_expired == 0
    assert report.files_after < report.files_before
    assert not orphan.exists()
    assert read_table(warehouse, "messages").sort_by(order).equals(before)
    assert read_table(warehouse, "messages", at_version=then).num_rows == 12
    # DuckLake's own `older_than` expires those of the same day.
    assert maintain(warehouse, keep=timedelta(hours=1)).snapshots_expired == 0
    report = maintain(warehouse, keep=timedelta(0))
    assert report.snapshots_expired > 0
    assert live_files(warehouse) == 1
    assert len(list(warehouse.data_path.rglob("*.parquet"))) == 1
    assert read_table(warehouse, "messages").sort_by(order).equals(before)
