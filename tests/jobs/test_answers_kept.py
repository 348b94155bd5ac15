"""What is left of the journals when a job ends."""

import os
import time
from pathlib import Path

import pytest

from jobs.answers_kept import drop_journals
from jobs.llm_gateways import ANSWERS_DIR
from operators.llm.call import Answer
from operators.llm.journal import AnswerJournal
from tests.transforms.warehouse.rows import make_rows
from transforms.warehouse.commit import ChangeSet, commit
from transforms.warehouse.connection import JOURNAL_DIR, Warehouse

HOUR = 3600.0


@pytest.fixture
def answers(warehouse: Warehouse) -> Path:
    vectors = warehouse.path / JOURNAL_DIR / "minilm"
    vectors.mkdir(parents=True)
    (vectors / "v.bin").write_bytes(b"...")
    return warehouse.path / JOURNAL_DIR / ANSWERS_DIR


def write(folder: Path, name: str, *calls: str, age: float = 0.0) -> None:
    for call in calls:
        AnswerJournal(folder, name).append(Answer(call, "ok", f"about {call}"))
    written = time.time() - age
    os.utime(folder / f"{name}.answers", (written, written))


def left(folder: Path) -> list[str]:
    return sorted(answer.call_id for answer in AnswerJournal(folder, "reader").load())


def record(warehouse: Warehouse, *calls: str) -> None:
    rows = [{"conversation_id": "c", "artifact_id": call, "output": "x"} for call in calls]
    commit(warehouse, [ChangeSet("artifacts", inserts=make_rows("artifacts", rows))])


def test_what_this_job_was_answered_goes(warehouse: Warehouse, answers: Path) -> None:
    began = time.time() - 1
    write(answers, "own", "call_1")
    drop_journals(warehouse, began)
    assert not (warehouse.path / JOURNAL_DIR).exists()
    drop_journals(warehouse, began)  # Nothing there: nothing to do.


def test_what_another_could_not_commit_stays(warehouse: Warehouse, answers: Path) -> None:
    write(answers, "earlier", "call_1", "call_2", age=HOUR)
    write(answers, "own", "call_3")
    record(warehouse, "call_1", "call_3")
    for _ in range(2):
        drop_journals(warehouse, time.time() - 60)
        assert left(answers) == ["call_2"]
    assert [entry.name for entry in (warehouse.path / JOURNAL_DIR).iterdir()] == [ANSWERS_DIR]
    record(warehouse, "call_2")
    drop_journals(warehouse, time.time() - 60)
    assert not (warehouse.path / JOURNAL_DIR).exists()


def test_not_for_ever(warehouse: Warehouse, answers: Path) -> None:
    write(answers, "earlier", "call_1", age=31 * 24 * HOUR)
    drop_journals(warehouse, time.time() - 60)
    assert left(answers) == []
