import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from schemas.tables import TABLES
from tests.transforms.warehouse.rows import make_rows, messages, one_row_everywhere
from transforms.warehouse.commit import ChangeSet, commit, insert_new, upsert
from transforms.warehouse.connection import Warehouse, open_warehouse
from transforms.warehouse.errors import WarehouseError
from transforms.warehouse.read import conversation_ids, counts, read_table


def test_every_table_round_trips(warehouse: Warehouse) -> None:
    rows = one_row_everywhere("word")
    commit(warehouse, [ChangeSet(name, inserts=table) for name, table in rows.items()])
    for name, table in rows.items():
        found = read_table(warehouse, name)
        assert found.schema.equals(TABLES[name].schema)
        assert found.equals(table), name
    assert counts(warehouse) == {n: int(n in rows) for n in TABLES}


def test_one_snapshot_for_all_tables(warehouse: Warehouse) -> None:
    before = warehouse.current_snapshot()
    rows = one_row_everywhere("word")
    runs = make_rows("runs", [{"run_id": "r1"}])
    changes = [ChangeSet(name, inserts=table) for name, table in rows.items()]
    assert commit(warehouse, changes, [upsert("runs", runs)]) == before + 1
    assert commit(warehouse, [ChangeSet("facts")]) == before + 1


def test_deletes_match_all_given_columns(warehouse: Warehouse) -> None:
    for conversation in ("c1", "c2"):
        rows = messages(conversation, {"m1": "one", "m2": "two"})
        commit(warehouse, [ChangeSet("messages", inserts=rows)])
    gone = pa.table({"tenant": ["default"], "conversation_id": ["c1"], "message_id": ["m2"]})
    commit(warehouse, [ChangeSet("messages", deletes=gone)])
    commit(
        warehouse,
        [
            ChangeSet(
                "messages",
                deletes=gone.select([0, 1]).append_column("message_id", pa.array(["m9"])),
            )
        ],
    )
    found = read_table(warehouse, "messages", ["conversation_id", "message_id"]).sort_by(
        [("conversation_id", "ascending"), ("message_id", "ascending")]
    )
    assert found.to_pylist() == [
        {"conversation_id": "c1", "message_id": "m1"},
        {"conversation_id": "c2", "message_id": "m1"},
        {"conversation_id": "c2", "message_id": "m2"},
    ]
    whole = pa.table({"tenant": ["default"], "conversation_id": ["c2"]})
    commit(warehouse, [ChangeSet("messages", deletes=whole)])
    assert conversation_ids(warehouse) == [("default", "c1")]


def test_delete_and_insert_of_the_same_key(warehouse: Warehouse) -> None:
    for state in ("one", "two", "two"):
        rows = make_rows("offsets", [{"source": "s", "partition": "p", "state": state}])
        commit(warehouse, [], [upsert("offsets", rows)])
    assert read_table(warehouse, "offsets", ["state"]).to_pylist() == [{"state": "two"}]


def test_first_seen_is_kept(warehouse: Warehouse) -> None:
    def dead(*rows: tuple[str, str]) -> pa.Table:
        return make_rows("dead_letters", [{"dead_letter_id": i, "source": s} for i, s in rows])

    commit(warehouse, [insert_new("dead_letters", dead(("d1", "a"), ("d1", "b")))])
    commit(warehouse, [insert_new("dead_letters", dead(("d2", "c"), ("d1", "c")))])
    found = read_table(warehouse, "dead_letters", ["dead_letter_id", "source"])
    assert sorted(map(tuple, (r.values() for r in found.to_pylist()))) == [
        ("d1", "a"),
        ("d2", "c"),
    ]


def test_a_failed_commit_leaves_nothing(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = ChangeSet("messages", inserts=messages("c1", {"m1": "one"}))
    for bad, complaint in (
        (make_rows("links", [{}]).drop_columns(["score"]), "columns missing: score"),
        (
            make_rows("links", [{"score": None}]).cast(
                pa.schema([f.with_nullable(True) for f in TABLES["links"].schema])
            ),
            "null in column 'score'",
        ),
    ):
        with pytest.raises(ValueError, match=complaint):
            commit(warehouse, [good, ChangeSet("links", inserts=bad)])

    def crash(*_: object) -> None:
        raise RuntimeError("crash")

    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr("transforms.warehouse.commit._insert", crash)
        commit(warehouse, [good])
    assert set(counts(warehouse).values()) == {0}
    commit(warehouse, [good])
    assert counts(warehouse)["messages"] == 1


def test_read_only_does_not_commit(folder: Path) -> None:
    open_warehouse(folder).close()
    with (
        open_warehouse(folder, read_only=True) as reader,
        pytest.raises(WarehouseError, match="read-only"),
    ):
        commit(reader, [ChangeSet("messages", inserts=messages("c1", {"m1": "one"}))])


def test_read_some_conversations_columns_versions(warehouse: Warehouse) -> None:
    for number in range(4):
        rows = messages(f"c'{number}", {"m1": "one"})
        commit(warehouse, [ChangeSet("messages", inserts=rows)])
    version = warehouse.current_snapshot()
    wanted = [("default", "c'1"), ("default", "c'3"), ("other", "c'2")]
    commit(
        warehouse,
        [
            ChangeSet(
                "messages", deletes=pa.table({"tenant": ["default"], "conversation_id": ["c'1"]})
            )
        ],
    )
    columns = ["text", "conversation_id"]
    now = read_table(warehouse, "messages", columns, wanted)
    assert now.to_pylist() == [{"text": "one", "conversation_id": "c'3"}]
    then = read_table(warehouse, "messages", columns, wanted, at_version=version)
    assert sorted(then["conversation_id"].to_pylist()) == ["c'1", "c'3"]
    assert counts(warehouse, version)["messages"] == 4
    assert read_table(warehouse, "messages", columns, []).num_rows == 0
    many = [("default", f"c'{i}") for i in range(500)]
    assert read_table(warehouse, "messages", columns, many).num_rows == 3
    some = read_table(warehouse, "messages", columns, where="conversation_id > 'c''2'")
    assert some.num_rows == 1


_READER = """
import sys, time
from transforms.warehouse.connection import open_warehouse
from transforms.warehouse.read import read_table
reads = 0
with open_warehouse(sys.argv[1], read_only=True, threads=1) as warehouse:
    print("ready", flush=True)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        counted = "SELECT (SELECT count(*) FROM messages), (SELECT count(*) FROM links)"
        pairs = warehouse.rows(counted)
        assert pairs[0][0] == pairs[0][1], pairs
        assert read_table(warehouse, "messages", conversations=[("default", "c0")]).num_rows <= 1
        reads += 1
        if warehouse.rows("SELECT count(*) FROM runs")[0][0]:
            break
print(reads)
"""


@pytest.mark.slow
def test_readers_beside_fifty_commits(warehouse: Warehouse) -> None:
    command = [sys.executable, "-c", _READER, str(warehouse.path)]
    pipe = subprocess.PIPE
    readers = [subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) for _ in range(2)]
    for reader in readers:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
    for number in range(50):
        rows = messages(f"c{number}", {"m1": "one"})
        link = make_rows("links", [{"link_id": f"l{number}", "conversation_id": f"c{number}"}])
        commit(warehouse, [ChangeSet("messages", inserts=rows), ChangeSet("links", inserts=link)])
    commit(warehouse, [], [upsert("runs", make_rows("runs", [{"run_id": "r1"}]))])
    for reader in readers:
        out, err = reader.communicate(timeout=180)
        assert reader.returncode == 0, err
        assert int(out) > 0


_WRITER = """
import sys
from tests.transforms.warehouse.rows import make_rows
from transforms.warehouse.connection import open_warehouse
from transforms.warehouse.commit import commit, insert_new
for number in range(5):
    with open_warehouse(sys.argv[1], threads=1, lock_timeout=120) as warehouse:
        rows = make_rows("links", [{"link_id": f"l{number}", "conversation_id": "c"}])
        commit(warehouse, [insert_new("links", rows)])
"""


@pytest.mark.slow
def test_two_writers_make_no_duplicate(folder: Path) -> None:
    open_warehouse(folder).close()
    command = [sys.executable, "-c", _WRITER, str(folder)]
    writers = [subprocess.Popen(command) for _ in range(2)]
    assert [writer.wait(timeout=240) for writer in writers] == [0, 0]
    with open_warehouse(folder, read_only=True) as warehouse:
        assert sorted(read_table(warehouse, "links")["link_id"].to_pylist()) == [
            f"l{i}" for i in range(5)
        ]
