"""Inserts written as Parquet by the worker: the same rows, owned by the lake, nothing left over."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.transforms.warehouse.rows import make_rows, messages, one_row_everywhere
from transforms.diff import merged
from transforms.warehouse import commit as commit_module
from transforms.warehouse.commit import ChangeSet, StagedFile, commit, insert_new
from transforms.warehouse.compaction import THOROUGH, compact
from transforms.warehouse.connection import METADATA, Warehouse, open_warehouse
from transforms.warehouse.erasure import erase_physically
from transforms.warehouse.errors import WarehouseError
from transforms.warehouse.read import read_table
from transforms.warehouse.staging import STAGING_DIR, Stager, Staging, remove_abandoned, staging

pytestmark = pytest.mark.slow  # Many small commits: twelve seconds in all.

SCOPE = ["tenant", "conversation_id"]


def staged(warehouse: Warehouse, changes: Sequence[ChangeSet], least: int = 1) -> list[ChangeSet]:
    """Staged and committed, as a run does; returns what the worker hands on."""
    with staging(warehouse, least) as opened:
        handed = list(Stager(opened).stage(changes))
        commit(warehouse, merged(handed))
    return handed


def content(warehouse: Warehouse, table: str) -> pa.Table:
    rows = read_table(warehouse, table)
    return rows.sort_by([(name, "ascending") for name in (*SCOPE, "message_id")])


def parquet_files(warehouse: Warehouse) -> list[Path]:
    return sorted(warehouse.data_path.rglob("*.parquet"))


def texts(conversation: str, number: int = 20) -> pa.Table:
    return messages(conversation, {f"{conversation}-{i:04}": f"text {i}" for i in range(number)})


def test_staged_rows_are_the_rows(warehouse: Warehouse, tmp_path: Path) -> None:
    """Every table with all its types: what is read is what a plain insert gives."""
    rows = one_row_everywhere("hello")
    handed = staged(warehouse, [ChangeSet(name, inserts=table) for name, table in rows.items()])
    assert {c.table for c in handed if c.staged} == set(rows) - {"dead_letters"}  # It has a blob.
    with open_warehouse(tmp_path / "plain", threads=1) as plain:
        commit(plain, [ChangeSet(name, inserts=table) for name, table in rows.items()])
        for name in rows:
            assert read_table(warehouse, name).equals(read_table(plain, name)), name


def test_small_inserts_and_those_to_be_looked_up_travel_as_they_are(warehouse: Warehouse) -> None:
    small = ChangeSet("messages", inserts=texts("a"))
    assert staged(warehouse, [small], least=small.nbytes + 1) == [small]
    first = insert_new("messages", texts("b"))
    assert staged(warehouse, [first]) == [first]
    with pytest.raises(ValueError, match="looked up"):
        commit(warehouse, [ChangeSet("messages", None, None, True, (StagedFile("x", 1, 1),))])


def test_deletes_and_several_slices_in_one_commit(warehouse: Warehouse) -> None:
    commit(warehouse, [ChangeSet("messages", inserts=pa.concat_tables([texts("a"), texts("b")]))])
    old = texts("a").select(SCOPE).slice(0, 1)
    staged(
        warehouse,
        [
            ChangeSet("messages", deletes=old, inserts=texts("a", 3)),
            ChangeSet("messages", inserts=texts("c")),
        ],
    )
    expected = pa.concat_tables([texts("a", 3), texts("b"), texts("c")])
    assert content(warehouse, "messages").equals(
        expected.sort_by([(name, "ascending") for name in (*SCOPE, "message_id")])
    )


def test_a_null_is_refused_by_the_worker(warehouse: Warehouse) -> None:
    rows = texts("a")
    index = rows.schema.get_field_index("text")
    broken = rows.set_column(index, "text", pa.nulls(rows.num_rows, pa.string()))
    with pytest.raises(ValueError, match="null in column 'text'"):
        staged(warehouse, [ChangeSet("messages", inserts=broken)])
    assert parquet_files(warehouse) == []


def test_files_are_cut_and_sorted_as_the_lakes_own(warehouse: Warehouse) -> None:
    many = pa.concat_tables([texts(f"c{i % 10}", 1000) for i in reversed(range(10))])
    vectors = make_rows(
        "embeddings",
        [
            {"conversation_id": f"c{i // 1000}", "text_hash": f"{i:032x}", "vector": [0.5]}
            for i in range(5000)
        ],
    )
    staged(
        warehouse,
        [ChangeSet("messages", inserts=many), ChangeSet("embeddings", inserts=vectors)],
    )
    found = {
        table: warehouse.rows(
            "SELECT row_group_num_rows, stats_min_value, stats_max_value FROM parquet_metadata(?)"
            " WHERE path_in_schema = 'conversation_id' ORDER BY row_group_id",
            [str(next((warehouse.data_path / "main" / table).iterdir()))],
        )
        for table in ("messages", "embeddings")
    }
    assert [rows for rows, _, _ in found["messages"]] == [10_000]  # Of at most 16,384.
    # DuckDB cuts row groups at multiples of 2,048.
    assert found["embeddings"] == [(4096, "c0", "c4"), (904, "c4", "c4")]


def test_other_files_are_not_read(warehouse: Warehouse) -> None:
    for name in "abc":
        staged(warehouse, [ChangeSet("messages", inserts=texts(name))])
    plan = warehouse.rows(
        "EXPLAIN ANALYZE SELECT text FROM messages WHERE conversation_id = 'b' AND is_current"
    )
    assert "Total Files Read: 1" in plan[0][1]
    counted = warehouse.rows(
        "SELECT count(*) FROM messages WHERE conversation_id = 'b' AND is_current"
    )
    assert counted == [(20,)]


def test_a_transaction_that_fails_can_be_tried_again(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = iter([True, True, False])
    register = commit_module._register

    def then_busy(connection: duckdb.DuckDBPyConnection, change: ChangeSet) -> None:
        register(connection, change)
        if next(failures):
            raise duckdb.TransactionException("database is locked")

    monkeypatch.setattr(commit_module, "_register", then_busy)
    staged(warehouse, [ChangeSet("messages", inserts=texts("a"))])
    assert content(warehouse, "messages").num_rows == 20
    assert len(parquet_files(warehouse)) == 1


def test_the_lake_owns_them(warehouse: Warehouse) -> None:
    """Merged, rewritten after deletes, and erased, beside plain files; the folder may move."""
    canary = messages("a", {"m1": "CANARY in a bird cage"})
    staged(warehouse, [ChangeSet("messages", inserts=pa.concat_tables([texts("a"), canary]))])
    commit(warehouse, [ChangeSet("messages", inserts=texts("b"))])
    staged(warehouse, [ChangeSet("messages", inserts=texts("c"))])
    keys = canary.select([*SCOPE, "message_id", "content_hash"])
    commit(warehouse, [ChangeSet("messages", deletes=keys)])
    erase_physically(warehouse)
    files = [file for file in warehouse.path.rglob("*") if file.is_file()]
    assert not [file for file in files if b"CANARY" in file.read_bytes()]
    before = content(warehouse, "messages")
    assert before.num_rows == 60
    assert compact(warehouse, THOROUGH).files_created == 1
    assert content(warehouse, "messages").equals(before)

    staged(warehouse, [ChangeSet("messages", inserts=texts("d"))])
    warehouse.close()
    moved = warehouse.path.with_name("moved")
    shutil.move(warehouse.path, moved)
    with open_warehouse(moved, threads=1) as opened:
        assert content(opened, "messages").num_rows == 80
        absolute = f"SELECT count(*) FROM {METADATA}.ducklake_data_file WHERE NOT path_is_relative"
        assert opened.rows(absolute) == [(0,)]


def test_files_of_slices_built_twice_go_with_the_run(warehouse: Warehouse) -> None:
    with staging(warehouse, 1) as opened:
        once, _ = (Stager(opened).stage([ChangeSet("messages", inserts=texts("a"))]) for _ in "ab")
        commit(warehouse, once)
        assert len(parquet_files(warehouse)) == 2
    assert len(parquet_files(warehouse)) == 1
    assert content(warehouse, "messages").num_rows == 20
    assert not (warehouse.path / STAGING_DIR).exists()


def test_files_of_a_killed_run_go_before_the_next(warehouse: Warehouse) -> None:
    kept = staged(warehouse, [ChangeSet("messages", inserts=texts("a"))])
    killed = staging(warehouse, 1)
    opened = killed.__enter__()
    Stager(opened).stage([ChangeSet("messages", inserts=texts("b"))])
    assert len(parquet_files(warehouse)) == 2
    assert remove_abandoned(warehouse)
    assert [str(file) for file in parquet_files(warehouse)] == [kept[0].staged[0].path]
    assert not remove_abandoned(warehouse)
    # A worker that outlives its run leaves nothing, either.
    with pytest.raises(WarehouseError, match="has ended"):
        Stager(opened).stage([ChangeSet("messages", inserts=texts("c"))])
    assert len(parquet_files(warehouse)) == 1


def test_erasure_ends_the_staging_of_a_killed_run(warehouse: Warehouse) -> None:
    """Else a worker that is still alive could leave what was forgotten in a file."""
    killed = staging(warehouse, 1)
    opened = killed.__enter__()
    Stager(opened).stage([ChangeSet("messages", inserts=texts("b"))])
    erase_physically(warehouse)
    assert parquet_files(warehouse) == []
    with pytest.raises(WarehouseError, match="has ended"):
        Stager(opened).stage([ChangeSet("messages", inserts=texts("b"))])
    assert parquet_files(warehouse) == []


def test_an_object_of_a_run_that_has_ended_holds_nothing(tmp_path: Path) -> None:
    """A URI stands in for an object store, where DuckDB removes nothing."""
    folder = tmp_path / "data" / "main" / "messages"
    folder.mkdir(parents=True)
    ended = Staging(tmp_path / STAGING_DIR / "token", (tmp_path / "data").as_uri(), 1, {"": 2048})
    with pytest.raises(WarehouseError, match="has ended"):
        Stager(ended).stage([ChangeSet("messages", inserts=texts("a"))])
    (file,) = folder.iterdir()
    assert pq.read_metadata(file).num_rows == 0
    assert b"text 1" not in file.read_bytes()


def test_a_process_that_sees_another_folder_is_refused(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    with staging(warehouse) as opened:
        opened.require_shared()
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        warehouse.path.rename(tmp_path / "hidden")
        elsewhere.rename(warehouse.path)
        with pytest.raises(WarehouseError, match=r"does not see.*All nodes of a cluster must"):
            opened.require_shared(seconds=0.05)
        warehouse.path.rename(elsewhere)
        (tmp_path / "hidden").rename(warehouse.path)
