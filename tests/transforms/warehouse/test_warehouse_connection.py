import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.tables import TABLES
from tests.transforms.warehouse.rows import make_rows, messages
from transforms.warehouse.commit import ChangeSet, commit
from transforms.warehouse.connection import Warehouse, new_connection, open_warehouse
from transforms.warehouse.errors import WarehouseError
from transforms.warehouse.read import counts, read_table


def test_all_tables_with_comments(warehouse: Warehouse) -> None:
    found = dict(warehouse.rows("SELECT table_name, comment FROM duckdb_tables()"))
    assert found == {t.name: t.comment for t in TABLES.values()}
    columns = warehouse.rows(
        "SELECT table_name, column_name, comment FROM duckdb_columns() WHERE table_name IN "
        "(SELECT table_name FROM duckdb_tables())"
    )
    assert set(columns) == {(t.name, c.name, c.comment) for t in TABLES.values() for c in t.columns}


def test_opening_again_changes_nothing(folder: Path) -> None:
    with open_warehouse(folder) as first:
        snapshot = first.current_snapshot()
    with open_warehouse(folder) as second:
        assert second.current_snapshot() == snapshot
    with open_warehouse(folder, read_only=True) as reader:
        assert reader.current_snapshot() == snapshot
        with pytest.raises(WarehouseError, match="read-only"):
            reader.require_writable()


def test_missing_and_foreign_folders(tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match="no such warehouse"):
        open_warehouse(tmp_path / "missing", read_only=True)
    (tmp_path / "photo.jpg").write_bytes(b"x")
    with pytest.raises(WarehouseError, match=r"photo\.jpg"):
        open_warehouse(tmp_path)
    with pytest.raises(WarehouseError, match="not a finished warehouse"):
        open_warehouse(tmp_path, read_only=True)
    assert [p.name for p in tmp_path.iterdir()] == ["photo.jpg"]
    with pytest.raises(WarehouseError, match="cannot be made"):
        open_warehouse(tmp_path / "photo.jpg" / "below")


@pytest.mark.parametrize("name", ["mem*", "mem?ry", "mem[1]", "me\\m"])
def test_a_path_that_is_a_pattern_is_refused(tmp_path: Path, name: str) -> None:
    """Upkeep would take the files of warehouses that fit it for orphans of this one."""
    with pytest.raises(WarehouseError, match="a pattern to DuckDB"):
        open_warehouse(tmp_path / name / "memory")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("theirs", ["data/sales.parquet", "tmp/thesis.txt", "journal/monday"])
def test_folders_of_the_user_are_not_taken_for_ours(tmp_path: Path, theirs: str) -> None:
    file = tmp_path / theirs
    file.parent.mkdir()
    file.touch()
    for _ in range(2):
        with pytest.raises(WarehouseError, match=f"it holds '{file.parent.name}'"):
            open_warehouse(tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [file]


def test_empty_folders_may_have_been_prepared(tmp_path: Path) -> None:
    elsewhere, folder = tmp_path / "disk", tmp_path / "w"
    elsewhere.mkdir()
    folder.mkdir()
    (folder / "data").symlink_to(elsewhere)
    open_warehouse(folder).close()


@pytest.mark.parametrize("inside", ["data", "data/x", "tmp/x", "kv/x", "x"])
def test_a_warehouse_inside_another_is_refused(folder: Path, inside: str) -> None:
    """The outer one would sweep the inner one's files away."""
    open_warehouse(folder).close()
    with pytest.raises(WarehouseError, match="inside another warehouse"):
        open_warehouse(folder / inside)
    with pytest.raises(WarehouseError, match=r"it holds 'catalog\.sqlite'"):
        _without_marker(folder)


def _without_marker(folder: Path) -> None:
    """Somebody's own DuckLake, for all we can tell."""
    (folder / "memoryflow.json").unlink()
    (folder / "write.lock").unlink()
    open_warehouse(folder)


def test_killed_while_it_was_made(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("transforms.warehouse.catalog._write_marker", killed)
        open_warehouse(folder)
    with pytest.raises(WarehouseError, match="not a finished warehouse"):
        open_warehouse(folder, read_only=True)
    with open_warehouse(folder) as warehouse:
        assert set(counts(warehouse).values()) == {0}


def test_newer_and_damaged_markers(folder: Path) -> None:
    open_warehouse(folder).close()
    marker = folder / "memoryflow.json"
    marker.write_text(json.dumps({"format": 99}))
    for read_only in (True, False):
        with pytest.raises(WarehouseError, match=r"format 99.*Update"):
            open_warehouse(folder, read_only=read_only)
    marker.write_text("{")
    with pytest.raises(WarehouseError, match="damaged"):
        open_warehouse(folder)


def test_lost_and_damaged_catalogs(folder: Path) -> None:
    open_warehouse(folder).close()
    catalog = folder / "catalog.sqlite"
    catalog.write_bytes(b"not a database, but long enough to be read as one" * 100)
    for read_only in (True, False):
        with pytest.raises(WarehouseError, match=r"cannot be opened.*build the warehouse again"):
            open_warehouse(folder, read_only=read_only)
    catalog.unlink()
    with pytest.raises(WarehouseError, match=r"cannot be opened.*catalog\.sqlite"):
        open_warehouse(folder, read_only=True)


def test_table_with_other_columns(folder: Path) -> None:
    with open_warehouse(folder) as warehouse:
        warehouse.connection.execute("ALTER TABLE links ADD COLUMN mood VARCHAR")
    with pytest.raises(WarehouseError, match=r"'links'.*mood"):
        open_warehouse(folder)


def test_one_writer_at_a_time(folder: Path) -> None:
    with open_warehouse(folder):
        with pytest.raises(WarehouseError, match=f"id {os.getpid()}"):
            open_warehouse(folder, lock_timeout=0.1)
        open_warehouse(folder, read_only=True).close()
    open_warehouse(folder, lock_timeout=0.1).close()


def test_a_moved_warehouse_is_read(folder: Path, tmp_path: Path) -> None:
    with open_warehouse(folder) as warehouse:
        commit(warehouse, [ChangeSet("messages", inserts=messages("c1", {"m1": "hello"}))])
    moved = tmp_path / "elsewhere" / "it's here"
    moved.parent.mkdir()
    shutil.move(folder, moved)
    with open_warehouse(moved) as warehouse:
        commit(warehouse, [ChangeSet("messages", inserts=messages("c2", {"m1": "hello"}))])
        assert read_table(warehouse, "messages").num_rows == 2


def test_reads_a_folder_that_is_not_writable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_warehouse(folder) as warehouse:
        commit(warehouse, [ChangeSet("messages", inserts=messages("c1", {"m1": "hello"}))])
    # Tests may run as root, whom permissions do not stop.
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(WarehouseError, match="not writable"):
        open_warehouse(folder)
    before = sorted(str(p) for p in folder.rglob("*"))
    with open_warehouse(folder, read_only=True) as reader:
        assert read_table(reader, "messages").num_rows == 1
    assert sorted(str(p) for p in folder.rglob("*")) == before


def test_nothing_is_written_to_home(folder: Path, tmp_path: Path) -> None:
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    code = (
        "from transforms.warehouse.connection import open_warehouse\n"
        f"with open_warehouse({str(folder)!r}) as w: print(w.rows('FROM messages'))"
    )
    environment = {**os.environ, "HOME": str(home), "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=work,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.stdout == "[]\n", done.stderr
    assert [*home.iterdir(), *work.iterdir()] == []


def test_missing_extension_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setattr("transforms.warehouse.connection._EXTENSIONS", ("no_such_extension",))
    with pytest.raises(WarehouseError, match="Install the package duckdb-extension-no-such"):
        new_connection()


def test_parameters_reach_duckdb(folder: Path) -> None:
    with open_warehouse(folder, threads=1, memory_limit="512MiB") as warehouse:
        found = warehouse.rows(
            "SELECT current_setting('threads'), current_setting('memory_limit'), "
            "current_setting('TimeZone')"
        )
        assert found == [(1, "512.0 MiB", "UTC")]


def test_a_run_row_survives_a_round_trip(warehouse: Warehouse) -> None:
    rows = make_rows("runs", [{"run_id": "r1", "counters": '{"a": 1}'}])
    commit(warehouse, [], [ChangeSet("runs", inserts=rows)])
    assert read_table(warehouse, "runs").equals(rows)
