"""Answers are found again after a kill; half a record is none."""

import stat
from pathlib import Path

import pytest

from operators.llm.call import Answer
from operators.llm.journal import AnswerJournal

ANSWERS = [
    Answer("a", "ok", '{"text": "Grüße 🙂"}', 10, 5, 3, 12.5),
    Answer("b", "truncated", "", 1, 2),
    Answer("c", "refused", "no\nway", 7),
]


def written(folder: Path, name: str = "one", answers: list[Answer] = ANSWERS) -> Path:
    journal = AnswerJournal(folder, name)
    for answer in answers:
        journal.append(answer)
    return folder / f"{name}.answers"


def test_answers_come_back_as_they_were(tmp_path: Path):
    written(tmp_path)
    assert list(AnswerJournal(tmp_path, "two").load()) == ANSWERS


def test_a_journal_without_a_folder_is_empty(tmp_path: Path):
    assert list(AnswerJournal(tmp_path / "none", "one").load()) == []


def test_every_writer_has_its_file_and_reads_all(tmp_path: Path):
    written(tmp_path, "b", ANSWERS[:1])
    written(tmp_path, "a", ANSWERS[1:])
    assert list(AnswerJournal(tmp_path, "c").load()) == [*ANSWERS[1:], ANSWERS[0]]


def test_a_torn_tail_is_not_read(tmp_path: Path):
    path = written(tmp_path)
    whole = path.read_bytes()
    written(tmp_path / "part", answers=ANSWERS[:2])
    two = len((tmp_path / "part" / "one.answers").read_bytes())
    for size in range(two, len(whole)):
        path.write_bytes(whole[:size])
        assert list(AnswerJournal(tmp_path, "x").load()) == ANSWERS[:2], size


def test_nothing_is_read_from_a_damaged_record_on(tmp_path: Path):
    path = written(tmp_path)
    data = bytearray(path.read_bytes())
    for at in range(len(data)):
        damaged = data.copy()
        damaged[at] ^= 0x40
        path.write_bytes(damaged)
        read = list(AnswerJournal(tmp_path, "x").load())
        assert len(read) < len(ANSWERS)
        assert read == ANSWERS[: len(read)]


def test_only_the_owner_may_read_it(tmp_path: Path):
    path = written(tmp_path / "new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_journal_can_be_dropped_under_its_writer(tmp_path: Path):
    journal = AnswerJournal(tmp_path, "one")
    journal.append(ANSWERS[0])
    (tmp_path / "one.answers").unlink()
    journal.append(ANSWERS[1])
    assert list(journal.load()) == [ANSWERS[1]]


def test_a_write_in_part_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("os.write", lambda descriptor, data: len(data) - 1)
    with pytest.raises(OSError, match="only in part"):
        AnswerJournal(tmp_path, "one").append(ANSWERS[0])
