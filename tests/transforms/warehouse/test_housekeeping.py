import os
import random
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from tests.transforms.warehouse.rows import make_rows, messages
from transforms.warehouse.commit import ChangeSet, commit, upsert
from transforms.warehouse.compaction import (
    CompactionPolicy,
    DataFile,
    compact,
    live_data_files,
    merge_ranges,
    rewrite_threshold,
)
from transforms.warehouse.connection import METADATA, Warehouse, open_warehouse
from transforms.warehouse.errors import WarehouseError
from transforms.warehouse.housekeeping import HousekeepingPolicy, housekeep
from transforms.warehouse.maintenance import live_files, remove_orphans
from transforms.warehouse.read import read_table
from transforms.warehouse.snapshots import thin_snapshots

TABLES_USED = ("messages", "sessions", "stamps")
_ORDER = {
    "messages": ["conversation_id", "message_id"],
    "sessions": ["session_id"],
    "stamps": ["conversation_id", "key"],
}
SHORT = HousekeepingPolicy(CompactionPolicy(merge_from=4), keep_every=timedelta(0))


def stream_commit(warehouse: Warehouse, number: int, chance: random.Random) -> None:
    """What a stream commits: new rows, and rows that replace those of earlier commits."""
    conversation = f"c{chance.randrange(6)}"
    sessions = [
        {
            "session_id": f"{conversation}-{i}",
            "conversation_id": conversation,
            "message_count": number,
        }
        for i in chance.sample(range(8), 3)
    ]
    stamps = [
        {"conversation_id": conversation, "key": f"k{i}", "step": "s", "stamp": str(number)}
        for i in chance.sample(range(8), 3)
    ]
    commit(
        warehouse,
        [
            ChangeSet("messages", inserts=messages(conversation, {f"m{number}": "hello"})),
            upsert("sessions", make_rows("sessions", sessions)),
            upsert("stamps", make_rows("stamps", stamps)),
        ],
    )


def _sorted(rows: pa.Table, columns: list[str]) -> pa.Table:
    return pa.Table.from_pylist(
        sorted(rows.to_pylist(), key=lambda row: [row[column] for column in columns]),
        schema=rows.schema,
    )


def contents(warehouse: Warehouse, at: int | None = None) -> dict[str, pa.Table]:
    return {
        name: _sorted(read_table(warehouse, name, at_version=at), _ORDER[name])
        for name in TABLES_USED
    }


def snapshot_ids(warehouse: Warehouse) -> list[int]:
    rows = warehouse.rows(f"SELECT snapshot_id FROM {METADATA}.ducklake_snapshot ORDER BY 1")
    return [row[0] for row in rows]


@pytest.mark.slow
def test_compaction_changes_no_row_of_any_snapshot(warehouse: Warehouse) -> None:
    chance = random.Random(1)
    policy = CompactionPolicy(merge_from=4)
    then: dict[int, dict[str, pa.Table]] = {}
    for number in range(36):
        stream_commit(warehouse, number, chance)
        if number % 6 == 5:
            snapshot = warehouse.current_snapshot()
            then[snapshot] = contents(warehouse)
            report = compact(warehouse, policy)
            assert not report.unfinished
            assert contents(warehouse) == then[snapshot]
    for snapshot, tables in then.items():
        assert contents(warehouse, snapshot) == tables
    assert live_files(warehouse) <= 2 * 3 * 4
    assert compact(warehouse, policy).files_merged == 0


def test_a_pass_costs_what_was_written_since_the_last(warehouse: Warehouse) -> None:
    big = {f"m{i}": f"{random.Random(i).random()}" * 20 for i in range(20_000)}
    commit(warehouse, [ChangeSet("messages", inserts=messages("big", big))])
    large = max(f.size for f in live_data_files(warehouse))
    assert large > 500_000
    chance = random.Random(2)
    for number in range(8):
        stream_commit(warehouse, number, chance)
    now = datetime.now(UTC) + timedelta(minutes=1)
    report = housekeep(warehouse, SHORT, now)
    assert report.compaction.files_merged >= 8
    assert report.compaction.bytes_rewritten < large / 2
    assert max(f.size for f in live_data_files(warehouse)) == large


@pytest.mark.slow
def test_housekeeping_keeps_a_long_stream_small(warehouse: Warehouse) -> None:
    chance = random.Random(3)
    written = rewritten = 0
    for number in range(36):
        stream_commit(warehouse, number, chance)
        if number % 6 == 5:
            before = contents(warehouse)
            written += 6 * 3 * 4_000
            report = housekeep(warehouse, SHORT, datetime.now(UTC) + timedelta(minutes=1))
            rewritten += report.compaction.bytes_rewritten
            assert contents(warehouse) == before
            assert report.live_files == live_files(warehouse) <= 3 * 2 * 5
            # Nothing piles up on the disk either: 36 commits write some 180 files.
            assert len(list(warehouse.data_path.rglob("*.parquet"))) < 80
    assert rewritten < 4 * written
    assert len(snapshot_ids(warehouse)) < 24


def test_no_more_than_the_time_allows(warehouse: Warehouse) -> None:
    chance = random.Random(4)
    for number in range(5):
        stream_commit(warehouse, number, chance)
    report = compact(warehouse, CompactionPolicy(merge_from=2, seconds=0.0))
    assert report.unfinished
    assert report.calls == 0
    assert not compact(warehouse, CompactionPolicy(merge_from=2)).unfinished
    with (
        open_warehouse(warehouse.path, read_only=True) as reader,
        pytest.raises(WarehouseError, match="read-only"),
    ):
        compact(reader)


def test_tiers() -> None:
    policy = CompactionPolicy(tiers=(100, 800), merge_from=3)
    small = [DataFile("t", 10, 1, 0)] * 3
    middle = [DataFile("t", 100, 10, 0)] * 3
    assert merge_ranges(small[:2], policy) == []
    assert merge_ranges([*small, *middle], policy) == [(0, 100, 30), (100, 800, 300)]
    assert merge_ranges([DataFile("t", 800, 80, 0)] * 9, policy) == []
    assert merge_ranges([*small[:2], DataFile("t", 10, 2, 1)], policy) == []


def test_files_with_deleted_rows() -> None:
    policy = CompactionPolicy(merge_from=3, rewrite_share=0.5, rewrite_bytes=1000)
    half = DataFile("t", 10**9, 10, 5)
    tenth = DataFile("t", 400, 10, 1)
    fifth = DataFile("t", 300, 10, 2)
    huge = DataFile("t", 10**9, 100, 1)
    assert rewrite_threshold([], policy) is None
    assert rewrite_threshold([tenth, fifth, huge], policy) is None
    assert rewrite_threshold([half, tenth, huge], policy) == 0.5
    assert rewrite_threshold([tenth, fifth, fifth], policy) == 0.1
    assert rewrite_threshold([half, tenth, tenth, fifth, huge], policy) == 0.2
    assert rewrite_threshold([DataFile("t", 5, 0, 0)], policy) is None


def test_which_snapshots_stay(warehouse: Warehouse) -> None:
    for number in range(9):
        commit(warehouse, [ChangeSet("messages", inserts=messages("c", {f"m{number}": "x"}))])
    ids = snapshot_ids(warehouse)
    now = datetime(2026, 3, 1, 12, 40, tzinfo=UTC)
    ages = {
        ids[-1]: timedelta(0),
        ids[-2]: timedelta(minutes=5),  # young
        ids[-3]: timedelta(minutes=20),  # 12:20, but current until five minutes ago
        ids[-4]: timedelta(hours=1),  # the last of 11
        ids[-5]: timedelta(hours=1, minutes=30),
        ids[-6]: timedelta(hours=3),  # the only one of 9
        ids[-7]: timedelta(days=8),
        ids[-8]: timedelta(days=9),
    }
    ages |= dict.fromkeys(set(ids) - set(ages), timedelta(days=10))
    for snapshot, age in ages.items():
        warehouse.connection.execute(
            f"UPDATE {METADATA}.ducklake_snapshot SET snapshot_time = ? WHERE snapshot_id = ?",
            [str(now - age), snapshot],
        )
    before = read_table(warehouse, "messages")
    policy = (timedelta(minutes=10), timedelta(days=7), now)
    assert thin_snapshots(warehouse, *policy, most=1) == 1
    assert snapshot_ids(warehouse) == ids[1:]
    assert thin_snapshots(warehouse, *policy) == len(ids) - 6
    assert snapshot_ids(warehouse) == [ids[-6], *ids[-4:]]
    assert thin_snapshots(warehouse, *policy) == 0
    assert read_table(warehouse, "messages", at_version=ids[-6]).num_rows == 4
    far = now + timedelta(days=99)
    assert thin_snapshots(warehouse, timedelta(0), timedelta(0), far) == 4
    assert snapshot_ids(warehouse) == [ids[-1]]
    assert read_table(warehouse, "messages").equals(before)
    with pytest.raises(ValueError, match="time zone"):
        thin_snapshots(warehouse, timedelta(0), timedelta(0), datetime(2026, 1, 1))


def test_unneeded_files_stay_until_the_next_pass(warehouse: Warehouse) -> None:
    chance = random.Random(5)
    for number in range(5):
        stream_commit(warehouse, number, chance)
    written = set(warehouse.data_path.rglob("*.parquet"))
    policy = HousekeepingPolicy(CompactionPolicy(merge_from=4))
    report = housekeep(warehouse, policy, datetime.now(UTC))
    assert report.compaction.files_merged >= 5
    assert report.files_removed == 0
    assert written < set(warehouse.data_path.rglob("*.parquet"))
    assert housekeep(warehouse, policy, datetime.now(UTC)).files_removed >= 5
    assert not written <= set(warehouse.data_path.rglob("*.parquet"))


def test_orphans(warehouse: Warehouse) -> None:
    commit(warehouse, [ChangeSet("messages", inserts=messages("c", {"m1": "x"}))])
    orphan = warehouse.data_path / "main" / "messages" / "left-by-a-killed-writer.parquet"
    orphan.write_bytes(b"half")
    assert remove_orphans(warehouse) == 1
    assert not orphan.exists()
    assert read_table(warehouse, "messages").num_rows == 1


_READER = """
import sys
from pathlib import Path
from transforms.warehouse.connection import open_warehouse
folder, done = Path(sys.argv[1]), Path(sys.argv[2])
reads = last = 0
with open_warehouse(folder, read_only=True, threads=1) as warehouse:
    while not done.exists():
        rows, ids = warehouse.rows("SELECT count(*), count(DISTINCT message_id) FROM messages")[0]
        sessions, keys = warehouse.rows(
            "SELECT count(*), count(DISTINCT session_id) FROM sessions")[0]
        assert rows == ids >= last and sessions == keys, (rows, ids, last, sessions, keys)
        last, reads = rows, reads + 1
        done.with_name("reads").write_text(str(reads))
print(reads)
"""


@pytest.mark.slow
def test_readers_keep_reading(warehouse: Warehouse, tmp_path: Path) -> None:
    chance = random.Random(6)
    stream_commit(warehouse, 0, chance)
    done = tmp_path / "done"
    reader = subprocess.Popen(
        [sys.executable, "-c", _READER, str(warehouse.path), str(done)],
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _reads_again(reader, tmp_path / "reads")
        for number in range(1, 31):
            stream_commit(warehouse, number, chance)
            if number % 5 == 0:
                housekeep(warehouse, SHORT, datetime.now(UTC) + timedelta(minutes=1))
                _reads_again(reader, tmp_path / "reads")
        done.touch()
        output, errors = reader.communicate(timeout=180)
    finally:
        reader.kill()
    assert reader.returncode == 0, errors
    assert int(output) >= 7


def _reads_again(reader: "subprocess.Popen[str]", reads: Path) -> None:
    """Wait until it has read once more: a busy machine may keep it from it for seconds."""
    before = reads.read_text() if reads.exists() else ""
    while not reads.exists() or reads.read_text() == before:
        assert reader.poll() is None
        time.sleep(0.01)
