"""Invariant 2: running again changes no row and makes no model call; only the new is computed."""

import shutil
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from jobs.batch.reading import Partitioned
from jobs.batch.reading_again import InputReader
from tests.jobs.builds import (
    Lines,
    build_here,
    digest_at,
    rows_at,
    sample_lines,
    shuffled,
    write_log,
)
from tests.jobs.processes import running
from transforms.warehouse.connection import open_warehouse

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_here")]

LINES = sample_lines()
GROWN = "friends-1"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, ray_here: None) -> Path:
    folder = tmp_path_factory.mktemp("again")
    build_here(folder / "w", write_log(folder / "log.jsonl", LINES))
    return folder


@pytest.fixture
def built(base: Path, tmp_path: Path) -> Path:
    """A copy of the built warehouse."""
    return Path(shutil.copytree(base / "w", tmp_path / "w"))


def test_same_input_again_starts_no_engine(base: Path, built: Path) -> None:
    before = digest_at(built), snapshot(built), model_rows(built)
    titles: set[str] = set()

    with running(
        "run", "conversation_memory", "--input", base / "log.jsonl", "-w", built
    ) as process:
        while not process.ended:
            titles |= names(process.process.pid)
            time.sleep(0.05)
        done = process.finish()

    assert (done.code, done.stderr) == (0, "")
    assert "nothing to do" in done.stdout
    assert not titles & {"raylet", "gcs_server"}
    assert (digest_at(built), snapshot(built), model_rows(built)) == before


def test_a_file_that_was_edited_while_it_was_read_is_read_again(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its hash was taken before: otherwise the run would pass for one that has read all of it."""
    log, read = write_log(tmp_path / "log.jsonl", LINES), InputReader.read

    def read_half(reader: InputReader, **options: Any) -> Partitioned:
        write_log(log, LINES[: len(LINES) // 2])
        return read(reader, **options)

    monkeypatch.setattr(InputReader, "read", read_half)
    assert build_here(tmp_path / "w", log)["counters"]["messages"]["new"] < len(LINES)
    assert f"{log} changed while it was read" in capsys.readouterr().err
    monkeypatch.undo()
    write_log(log, LINES)
    assert not build_here(tmp_path / "w", log)["skipped"]
    assert digest_at(tmp_path / "w") == digest_at(base / "w")
    assert build_here(tmp_path / "w", log)["skipped"]


def test_same_lines_in_another_file(built: Path, tmp_path: Path) -> None:
    before = digest_at(built), model_rows(built), rows_at(built, "stamps", "key", "step", "stamp")
    files = data_files(built)

    report = build_here(built, write_log(tmp_path / "other.jsonl", shuffled(LINES)))

    assert not report["skipped"]
    counters = report["counters"]
    assert counters["messages"] == {
        "in": len(LINES),
        "new": 0,
        "repeated": len(LINES),
        "erased": 0,
    }
    assert counters.get("embed", {}).get("embedded", 0) == 0
    assert counters["model_calls"]["answered"] == 0
    after = digest_at(built), model_rows(built), rows_at(built, "stamps", "key", "step", "stamp")
    assert after == before
    assert data_files(built) == files


def test_a_new_session_computes_that_session_only(built: Path, tmp_path: Path) -> None:
    facts = rows_at(built, "facts", "conversation_id", "fact_id", "text")
    known = vectors_of(built)

    report = build_here(built, write_log(tmp_path / "new.jsonl", [*LINES, *new_session()]))

    counters = report["counters"]
    new_texts = vectors_of(built) - known
    assert counters["messages"]["new"] == 4
    assert counters["sessions"]["computed"] == 1
    assert (counters["cells"]["computed"], counters["extract"]["computed"]) == (1, 1)
    assert counters["extract"]["kept"] >= 1
    assert len(new_texts) == counters["embed"]["embedded"] == counters["model_calls"]["answered"]
    assert new_texts
    after = rows_at(built, "facts", "conversation_id", "fact_id", "text")
    assert set(facts) < set(after)
    assert {row[0] for row in set(after) - set(facts)} == {GROWN}


def new_session() -> Lines:
    last = max(line["timestamp"] for line in LINES if line["conversation_id"] == GROWN)
    start = datetime.fromisoformat(last) + timedelta(days=10)
    texts = [
        "I adopted a heron named Oskar from the shelter in Deventer.",
        "What does he eat?",
        "Oskar eats three trout a day.",
        "My sister Ilse repairs accordions for a living.",
    ]
    return [
        {
            "conversation_id": GROWN,
            "message_id": f"new-{index}",
            "speaker": ("Nora", "Tomas")[index % 2],
            "timestamp": (start + timedelta(minutes=index)).isoformat(),
            "text": text,
        }
        for index, text in enumerate(texts)
    ]


def snapshot(warehouse: Path) -> int:
    with open_warehouse(warehouse, read_only=True) as opened:
        return opened.current_snapshot()


def model_rows(warehouse: Path) -> tuple[list[Any], list[Any]]:
    columns = ("conversation_id", "artifact_id", "input_hash", "output_hash", "latency_ms")
    return vectors_of_sorted(warehouse), rows_at(warehouse, "artifacts", *columns)


def vectors_of_sorted(warehouse: Path) -> list[Any]:
    return rows_at(warehouse, "embeddings", "conversation_id", "text_hash", "vector")


def vectors_of(warehouse: Path) -> set[Any]:
    return set(rows_at(warehouse, "embeddings", "conversation_id", "text_hash"))


def data_files(warehouse: Path) -> set[str]:
    """Files of the memory tables; the books of the run may grow."""
    books = {"runs", "offsets"}
    return {f.name for f in (warehouse / "data").rglob("*.parquet") if f.parent.name not in books}


def names(pid: int) -> set[str]:
    try:
        return {child.name() for child in psutil.Process(pid).children(recursive=True)}
    except psutil.Error:
        return set()
