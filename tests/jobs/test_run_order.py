"""Invariant 1: the digest does not depend on order, workers, files, slices or batching."""

from pathlib import Path

import pytest

from tests.jobs.builds import (
    build_here,
    digest_at,
    pipeline_copy,
    sample_lines,
    shuffled,
    write_log,
)
from tests.jobs.processes import cli

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_here")]

LINES = sample_lines()


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """The digest of the command itself, with two workers."""
    folder = tmp_path_factory.mktemp("base")
    log = write_log(folder / "log.jsonl", LINES)
    done = cli("run", "conversation_memory", "--input", log, "-w", folder / "w", "--workers", 2)
    assert done.code == 0, done.stderr
    assert f"{len(LINES)} new messages" in done.stdout
    return digest_at(folder / "w")


def test_shuffled_lines_and_one_worker(tmp_path: Path, expected: dict[str, object]) -> None:
    log = write_log(tmp_path / "log.jsonl", shuffled(LINES))

    build_here(tmp_path / "w", log, workers=1)

    assert digest_at(tmp_path / "w") == expected


def test_several_compressed_files_and_small_slices(
    tmp_path: Path, expected: dict[str, object]
) -> None:
    lines = shuffled(LINES, seed=11)
    for index, suffix in enumerate(["jsonl", "jsonl.gz", "jsonl.zst", "jsonl.gz"]):
        # A part of each file is in the next one too.
        write_log(tmp_path / "logs" / f"{index}.{suffix}", lines[index * 36 : index * 36 + 45])
    pipeline = pipeline_copy(tmp_path / "p.yaml", (r"slice_chars: \S+", "slice_chars: 1000"))

    report = build_here(
        tmp_path / "w", tmp_path / "logs", workers=4, pipeline=pipeline, commit_bytes=1
    )

    assert report["slices"] > 3
    assert report["commits"] > 3
    assert report["counters"]["messages"]["repeated"] == 27
    assert digest_at(tmp_path / "w") == expected


def test_five_increments(tmp_path: Path, expected: dict[str, object]) -> None:
    lines = shuffled(LINES, seed=13)
    growing = tmp_path / "growing.jsonl"
    for count in (10, 60):
        build_here(tmp_path / "w", write_log(growing, lines[:count]))
    for index, part in enumerate((lines[60:61], lines[61:130], lines[130:])):
        build_here(tmp_path / "w", write_log(tmp_path / f"{index}.jsonl.zst", part))

    assert digest_at(tmp_path / "w") == expected
