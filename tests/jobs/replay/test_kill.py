"""A build of caches that is killed goes on where it was, and ends as if nothing had happened."""

import shutil
from pathlib import Path

import pytest

from jobs.replay.kv_rows import KvEpisode, read_kv_rows
from operators.replay.store import load_kv
from tests.jobs.builds import SAMPLES, SHIPPED
from tests.jobs.processes import cli, killed
from tests.jobs.replay.kv_builds import CONVERSATION, ingest, kv_files, sample_talk
from transforms.warehouse.connection import open_warehouse

pytestmark = pytest.mark.slow

REPLAY = """
replay:
  episodes: {window: 2, max_chars: 1000}
  block: 256
  min_tokens: 64
"""


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`log` has messages and no caches, `whole` those of a build that nobody disturbed."""
    folder = tmp_path_factory.mktemp("kill")
    shipped, _, _ = SHIPPED.read_text().partition("\nreplay:")
    (folder / "p.yaml").write_text(shipped + REPLAY)
    with open_warehouse(folder / "log", threads=1) as opened:
        ingest(opened, sample_talk(SAMPLES / "logs" / "friends.jsonl", 70))
    shutil.copytree(folder / "log", folder / "whole")
    done = cli(*arguments(folder, folder / "whole"))
    assert done.code == 0, done.stderr
    return folder


def arguments(work: Path, warehouse: Path) -> list[object]:
    return ["replay", "--build-only", "-w", warehouse, "--pipeline", work / "p.yaml"]


def rows_of(warehouse: Path) -> dict[str, KvEpisode]:
    with open_warehouse(warehouse, read_only=True, threads=1) as opened:
        return {row.kv_episode_id: row for row in read_kv_rows(opened, CONVERSATION)}


def tensor_files(warehouse: Path) -> list[Path]:
    return [file for file in kv_files(warehouse) if file.suffix == ".safetensors"]


def identities(warehouse: Path, rows: dict[str, KvEpisode]) -> dict[str, tuple[int, int]]:
    """Inode and time of each cache's file: a file that is written again has others."""
    stats = {name: (warehouse / row.path).stat() for name, row in rows.items()}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in stats.items()}


def test_killed_twice(work: Path, tmp_path: Path) -> None:
    whole, warehouse = rows_of(work / "whole"), tmp_path / "w"
    assert len(whole) >= 5
    shutil.copytree(work / "log", warehouse)
    finished: dict[str, KvEpisode] = {}
    kept: dict[str, tuple[int, int]] = {}
    for more in (2, 2):
        wanted = len(finished) + more
        with killed(
            warehouse,
            arguments(work, warehouse),
            lambda _, wanted=wanted: len(tensor_files(warehouse)) >= wanted,
            (warehouse / "kv" / "unfinished").exists,
        ):
            pass
        before, finished = finished, rows_of(warehouse)
        assert set(before) < set(finished) < set(whole)
        assert (warehouse / "kv" / "unfinished").exists()
        for row in finished.values():  # A row names a whole file, whenever it was killed.
            load_kv(warehouse / row.path, row.checksum)
        kept |= identities(warehouse, finished)

    done = cli(*arguments(work, warehouse))

    assert done.code == 0, done.stderr
    rows = rows_of(warehouse)
    assert {name: row.checksum for name, row in rows.items()} == {
        name: row.checksum for name, row in whole.items()
    }
    assert {n: i for n, i in identities(warehouse, rows).items() if n in kept} == kept
    assert kv_files(warehouse) == sorted(warehouse / row.path for row in rows.values())
