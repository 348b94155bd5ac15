"""The tensor files of `kv_episodes`, in DIR/kv: files come before their rows, and go after them.

So a row always names a whole file, and what no row names was left by a build that was killed,
or by rows that are gone. `kv/unfinished` is there while a build or a removal is under way:
whoever finds it knows that there may be such files.
"""

from collections.abc import Iterable
from pathlib import Path

from transforms.warehouse.catalog import quoted
from transforms.warehouse.connection import Warehouse

KV_DIR = "kv"
_UNFINISHED = "unfinished"
_DIGITS = 2  # Of an id, which ends in hex digits: at most 256 folders, each with few files.


def kv_folder(warehouse: Warehouse, kv_episode_id: str) -> Path:
    """Where the tensor file of a cache goes; need not be there yet."""
    return warehouse.path / KV_DIR / kv_episode_id[-_DIGITS:]


def relative(warehouse: Warehouse, file: Path) -> str:
    """`file` as `kv_episodes.path` names it: a warehouse may be moved."""
    return file.relative_to(warehouse.path).as_posix()


def begin_kv_changes(warehouse: Warehouse) -> None:
    """Record that files without rows may be there from now on."""
    folder = warehouse.path / KV_DIR
    folder.mkdir(exist_ok=True)
    (folder / _UNFINISHED).touch()


def kv_changes_unfinished(warehouse: Warehouse) -> bool:
    """Whether somebody began and did not finish; one look at the disk."""
    return (warehouse.path / KV_DIR / _UNFINISHED).exists()


def finish_kv_changes(warehouse: Warehouse) -> None:
    """Record that every file has its row."""
    (warehouse.path / KV_DIR / _UNFINISHED).unlink(missing_ok=True)


def remove_unnamed_kv_files(warehouse: Warehouse) -> int:
    """Remove what no row names, temporary files too; how many. For the writer only.

    Costs a look at every file in DIR/kv.
    """
    named = {
        (warehouse.path / path).resolve()
        for (path,) in warehouse.rows(f"SELECT path FROM {quoted('kv_episodes')}")
    }
    files = [file for file in (warehouse.path / KV_DIR).rglob("*") if file.is_file()]
    return _remove(f for f in files if f.name != _UNFINISHED and f.resolve() not in named)


def _remove(files: Iterable[Path]) -> int:
    count = 0
    for file in files:
        file.unlink(missing_ok=True)
        count += 1
    return count
