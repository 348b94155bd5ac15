"""A disk that is full or read-only: a clear error, nothing half-committed, nothing left behind.

RLIMIT_FSIZE stands in for the full disk where a small file system cannot be mounted: it
stops root and plain users alike, and here even a process of its own.
"""

import os
import resource
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from tests.transforms.warehouse.rows import messages
from transforms.warehouse.commit import ChangeSet, commit
from transforms.warehouse.compaction import THOROUGH, compact
from transforms.warehouse.connection import Warehouse, open_warehouse
from transforms.warehouse.errors import WarehouseError
from transforms.warehouse.failures import disk_failure
from transforms.warehouse.read import read_table

pytestmark = pytest.mark.slow  # Many small commits.


@contextmanager
def largest_file(size: int) -> Generator[None]:
    """Writing beyond `size` bytes of a file fails (Python ignores the signal)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def bulky(number: int, conversation: str = "big") -> pa.Table:
    texts = {f"{conversation}-{i}": os.urandom(500).hex() for i in range(number)}
    return messages(conversation, texts)


def sorted_messages(warehouse: Warehouse) -> pa.Table:
    return read_table(warehouse, "messages").sort_by("message_id")


def parquet_files(warehouse: Warehouse) -> set[str]:
    return {file.name for file in warehouse.data_path.rglob("*.parquet")}


def check_unharmed(warehouse: Warehouse, rows: pa.Table, snapshot: int, files: set[str]) -> None:
    assert warehouse.current_snapshot() == snapshot
    assert sorted_messages(warehouse).equals(rows)
    assert parquet_files(warehouse) == files
    with open_warehouse(warehouse.path, read_only=True) as reader:
        assert sorted_messages(reader).equals(rows)


@pytest.mark.parametrize("size", [100, 40_000, 300_000])
def test_a_commit_that_finds_no_room(warehouse: Warehouse, size: int) -> None:
    """Too little room for the catalog, for small files, for a large one."""
    commit(warehouse, [ChangeSet("messages", inserts=messages("c1", {"m1": "hello"}))])
    before = (sorted_messages(warehouse), warehouse.current_snapshot())
    files = parquet_files(warehouse)
    scope = pa.table({"tenant": ["default"], "conversation_id": ["c1"]})
    with largest_file(size), pytest.raises(WarehouseError, match="run the same command") as error:
        commit(
            warehouse,
            [
                ChangeSet("messages", deletes=scope),
                ChangeSet("messages", inserts=bulky(20_000)),
            ],
        )
    assert error.value.where == str(warehouse.path)
    check_unharmed(warehouse, *before, files)
    commit(warehouse, [ChangeSet("messages", inserts=bulky(100))])
    assert read_table(warehouse, "messages").num_rows == 101


def test_compaction_that_finds_no_room(warehouse: Warehouse) -> None:
    for number in range(3):
        commit(warehouse, [ChangeSet("messages", inserts=bulky(300, f"c{number}"))])
    before = (sorted_messages(warehouse), warehouse.current_snapshot())
    files = parquet_files(warehouse)
    with largest_file(200_000), pytest.raises(WarehouseError, match="larger than this process"):
        compact(warehouse, THOROUGH)
    check_unharmed(warehouse, *before, files)
    assert compact(warehouse, THOROUGH).files_merged == 3


def test_a_full_file_system(tmp_path: Path) -> None:
    """The same on a file system that is really full, where one may be mounted."""
    mount = tmp_path / "small"
    mount.mkdir()
    if _mount("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(mount)):
        try:
            _fill_and_recover(mount, bytes_more=8 << 20)
        finally:
            assert _mount("umount", str(mount))
    else:
        with largest_file(1 << 20):
            _fill_and_recover(mount, bytes_more=0)


def _mount(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0
    except FileNotFoundError:
        return False


def _fill_and_recover(folder: Path, bytes_more: int) -> None:
    with open_warehouse(folder / "warehouse", threads=1) as warehouse:
        commit(warehouse, [ChangeSet("messages", inserts=messages("c1", {"m1": "hello"}))])
        before = (sorted_messages(warehouse), warehouse.current_snapshot())
        files = parquet_files(warehouse)
        for _ in range(2):  # what the first failure leaves must not be in the way of the second
            with pytest.raises(WarehouseError, match=r"disk is full|larger than"):
                commit(warehouse, [ChangeSet("messages", inserts=bulky(20_000))])
            check_unharmed(warehouse, *before, files)
        commit(warehouse, [ChangeSet("messages", inserts=bulky(100))])
        if bytes_more:
            _fill_with(folder / "ballast", bytes_more)
            rows, snapshot = sorted_messages(warehouse), warehouse.current_snapshot()
            with pytest.raises(WarehouseError):
                commit(warehouse, [ChangeSet("messages", inserts=bulky(500, "c9"))])
            (folder / "ballast").unlink()
            assert warehouse.current_snapshot() == snapshot
            assert sorted_messages(warehouse).equals(rows)
        commit(warehouse, [ChangeSet("messages", inserts=bulky(500, "c3"))])
        assert read_table(warehouse, "messages").num_rows == 601


def _fill_with(file: Path, size: int) -> None:
    """Leave no room at all."""
    with file.open("wb", buffering=0) as out:
        try:
            for _ in range(size // 4096):
                out.write(bytes(4096))
        except OSError:
            return


def test_a_catalog_that_became_read_only(folder: Path) -> None:
    """As on a file system mounted again read-only; permissions do not stop root, hence both."""
    with open_warehouse(folder, threads=1) as warehouse:
        commit(warehouse, [ChangeSet("messages", inserts=messages("c1", {"m1": "hello"}))])
        rows, snapshot = sorted_messages(warehouse), warehouse.current_snapshot()
        files = parquet_files(warehouse)
        with _read_only(folder) as happened:
            if happened:
                with pytest.raises(WarehouseError, match=r"read-only|permission|for writing"):
                    commit(warehouse, [ChangeSet("messages", inserts=bulky(10))])
        check_unharmed(warehouse, rows, snapshot, files)
        commit(warehouse, [ChangeSet("messages", inserts=bulky(10))])
        assert read_table(warehouse, "messages").num_rows == 11


@contextmanager
def _read_only(folder: Path) -> Generator[bool]:
    """`folder` without write permission: by mode, or, for root, as a read-only bind mount."""
    if os.geteuid():
        places = [folder, *(p for p in folder.rglob("*") if p.is_dir())]
        files = [p for p in folder.rglob("catalog*") if p.is_file()]
        for place in (*places, *files):
            place.chmod(0o500 if place.is_dir() else 0o400)
        try:
            yield True
        finally:
            for place in (*places, *files):
                place.chmod(0o700 if place.is_dir() else 0o600)
        return
    mounted = _mount("mount", "--bind", str(folder), str(folder)) and _mount(
        "mount", "-o", "remount,ro,bind", str(folder)
    )
    try:
        yield mounted
    finally:
        _mount("umount", str(folder))


def test_which_errors_are_the_disks(tmp_path: Path) -> None:
    cases = {
        "IO Error: Could not write file: No space left on device": "disk is full",
        "database or disk is full": "disk is full",
        "attempt to write a readonly database": "read-only",
        'Cannot open file "x": Read-only file system': "read-only",
        'Cannot open file "x": Permission denied': "permission",
        "disk I/O error": "fails to write",
    }
    for text, what in cases.items():
        failure = disk_failure(duckdb.IOException(text), tmp_path)
        assert failure is not None
        assert what in failure.what
        assert text in failure.what
    assert disk_failure(duckdb.IOException("Syntax error"), tmp_path) is None
    assert disk_failure(ValueError("disk is full"), tmp_path) is None
    assert disk_failure(OSError(5, "Input/output error"), tmp_path) is not None


def test_a_process_with_a_limit_from_the_start(folder: Path) -> None:
    """As under `ulimit -f`: the error reaches the user, exit code and all."""
    code = (
        "import resource, sys\n"
        "from tests.transforms.warehouse.test_disk_full import bulky\n"
        "from transforms.warehouse.commit import ChangeSet, commit\n"
        "from transforms.warehouse.connection import open_warehouse\n"
        "from transforms.warehouse.errors import WarehouseError\n"
        "with open_warehouse(sys.argv[1], threads=1) as w:\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))\n"
        "    try: commit(w, [ChangeSet('messages', inserts=bulky(20_000))])\n"
        "    except WarehouseError as error: print(error); sys.exit(3)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert "Raise the limit" in done.stdout
    with open_warehouse(folder, threads=1) as warehouse:
        assert read_table(warehouse, "messages").num_rows == 0
        commit(warehouse, [ChangeSet("messages", inserts=bulky(100))])
