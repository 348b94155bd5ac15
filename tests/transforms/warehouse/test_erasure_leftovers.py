"""Erasure among files that are not memoryflow's, and in folders that are links."""

import shutil
from pathlib import Path

import pytest

from tests.jobs.test_forget import leaks
from tests.servers.places import BUCKET, running_servers
from tests.transforms.warehouse.rows import messages
from transforms.warehouse.commit import ChangeSet, commit
from transforms.warehouse.connection import JOURNAL_DIR, SPILL_DIR, Warehouse, open_warehouse
from transforms.warehouse.erasure import PENDING_FILE, erase_physically, finish_pending_erasure
from transforms.warehouse.errors import WarehouseError
from transforms.warehouse.read import counts
from transforms.warehouse.scope import conversation_table

CANARY = "AzzqCanaryZ"


def fill(warehouse: Warehouse) -> None:
    """A conversation that stays, and one whose rows are deleted and not erased yet."""
    for conversation, text in (("c1", "hello"), ("c2", CANARY)):
        rows = messages(conversation, {"m1": text})
        commit(warehouse, [ChangeSet("messages", inserts=rows)])
    commit(warehouse, [ChangeSet("messages", deletes=conversation_table([("default", "c2")]))])


def linked(warehouse: Warehouse, name: str, disk: Path) -> Path:
    """Have DIR/`name` on another disk, with memory text in it."""
    shutil.rmtree(warehouse.path / name, ignore_errors=True)
    folder = disk / name
    (folder / "answers").mkdir(parents=True)
    (folder / "answers" / "1.answers").write_text(CANARY)
    (folder / "duckdb_temp_storage_DEFAULT-0.tmp").write_text(CANARY)
    (warehouse.path / name).symlink_to(folder)
    return folder


def test_files_of_others_are_left_alone(warehouse: Warehouse) -> None:
    fill(warehouse)
    others = [
        warehouse.data_path / ".DS_Store",
        warehouse.data_path / "main" / ".nfs0000000000a1",
        warehouse.data_path / "main" / "messages" / "notes.txt",
    ]
    for file in others:
        file.write_text("not memoryflow's")

    erase_physically(warehouse)

    assert leaks(warehouse.path, CANARY) == []
    assert not (warehouse.path / PENDING_FILE).exists()
    assert all(file.exists() for file in others)


def test_missing_files_are_named_after_all_else_is_done(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    fill(warehouse)
    for number in range(4):
        rows = messages("c1", {f"n{number}": "hello"})
        commit(warehouse, [ChangeSet("messages", inserts=rows)])
    (warehouse.path / JOURNAL_DIR).mkdir()
    (warehouse.path / JOURNAL_DIR / "1.answers").write_text(CANARY)
    gone = sorted(file for file in warehouse.data_path.rglob("*.parquet") if _holds(file, "hello"))
    for file in gone:
        file.rename(tmp_path / file.name)

    with pytest.raises(WarehouseError) as raised:
        erase_physically(warehouse)

    named = ", ".join(file.name for file in gone[:3])
    assert f"too many: none; missing: {named} and 2 more" in raised.value.what
    assert leaks(warehouse.path, CANARY) == []
    assert (warehouse.path / PENDING_FILE).exists()
    for file in gone:
        (tmp_path / file.name).rename(file)
    assert finish_pending_erasure(warehouse)
    assert counts(warehouse)["messages"] == 5


def _holds(file: Path, word: str) -> bool:
    return word.encode() in file.read_bytes()


def test_folders_that_are_links_are_emptied(warehouse: Warehouse, tmp_path: Path) -> None:
    fill(warehouse)
    journal, spill = (linked(warehouse, name, tmp_path) for name in (JOURNAL_DIR, SPILL_DIR))

    erase_physically(warehouse)

    assert list(journal.iterdir()) == []
    # What is no file of DuckDB's in a place to spill to, e.g. /scratch, is somebody else's.
    assert [path.name for path in spill.iterdir()] == ["answers"]
    assert [(warehouse.path / name).is_symlink() for name in (JOURNAL_DIR, SPILL_DIR)] == [True] * 2


def test_a_folder_that_cannot_be_emptied_is_told(warehouse: Warehouse, tmp_path: Path) -> None:
    """Here a disk that is not mounted: nobody knows what is on it."""
    fill(warehouse)
    journal, spill = (linked(warehouse, name, tmp_path) for name in (JOURNAL_DIR, SPILL_DIR))
    journal.rename(tmp_path / "unmounted")

    with pytest.raises(WarehouseError, match=r"journal cannot be removed: No such file") as raised:
        erase_physically(warehouse)

    assert "mount the disk" in raised.value.fix
    assert [path.name for path in spill.iterdir()] == ["answers"]
    (tmp_path / "unmounted").rename(journal)
    assert finish_pending_erasure(warehouse)
    assert list(journal.iterdir()) == []
    assert not finish_pending_erasure(warehouse)


@pytest.mark.slow
def test_objects_of_others_are_left_alone(tmp_path: Path) -> None:
    with running_servers() as servers:
        place = servers.place(tmp_path / "outside", "s3")
        with open_warehouse(place.folder, threads=1) as outside:
            fill(outside)
            key = f"{place.prefix}/data/main/README.txt"
            servers.s3.client().put_object(Bucket=BUCKET, Key=key, Body=b"not memoryflow's")
            erase_physically(outside)
        assert place.leaks(CANARY) == []
        assert key in place.data_files()
