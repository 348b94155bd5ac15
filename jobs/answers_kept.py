"""Drops the journals without the answers in them that are paid and not committed yet.

A run that a budget or a kill ended leaves answers that no row rests on yet. The next job may
be about something else: what it made itself goes with its last commit; what others left stays
until it is committed, or nobody has asked for it for a month.
"""

import os
import shutil
import time
from collections.abc import Collection, Sequence
from pathlib import Path

from jobs.llm_gateways import ANSWERS_DIR
from operators.llm.call import Answer
from operators.llm.journal import AnswerJournal
from transforms.warehouse.connection import JOURNAL_DIR, Warehouse

_KEPT_SECONDS = 30 * 24 * 3600.0


def drop_journals(warehouse: Warehouse, began: float) -> None:
    """Drop what the journals hold, but for answers that an earlier job could not commit.

    Everything that this job was answered must be committed. Cost: as good as nothing, unless
    an earlier job has left answers: then they are read and looked up in `artifacts`.

    Args:
        warehouse: open for writing.
        began: when this job began, in seconds since 1970.
    """
    journal = warehouse.path / JOURNAL_DIR
    folder = journal / ANSWERS_DIR
    earlier = [file for file in _files(folder) if _is_kept(file, began)]
    for path in (*_files(journal), *_files(folder)):
        if path != folder and path not in earlier:
            _remove(path)
    answers = {answer.call_id: answer for answer in AnswerJournal(folder, "reader").load()}
    committed = _committed(warehouse, answers)
    left = [answer for call_id, answer in answers.items() if call_id not in committed]
    if not left:
        shutil.rmtree(journal, ignore_errors=True)
    elif committed:
        _rewrite(folder, left, earlier)


def _is_kept(file: Path, began: float) -> bool:
    """Whether another job wrote it: every writer has a file of its own, and appends to it."""
    written = file.stat().st_mtime
    return time.time() - _KEPT_SECONDS < written < began


def _committed(warehouse: Warehouse, call_ids: Collection[str]) -> set[str]:
    if not call_ids:
        return set()
    found = warehouse.rows(
        "SELECT DISTINCT artifact_id FROM artifacts WHERE list_contains(?, artifact_id)",
        [sorted(call_ids)],
    )
    return {str(call_id) for (call_id,) in found}


def _rewrite(folder: Path, left: Sequence[Answer], files: Sequence[Path]) -> None:
    """The same file with fewer answers, as old as the oldest; killed halfway, both are there."""
    name = f"left-{os.urandom(4).hex()}"
    oldest = min(file.stat().st_mtime for file in files)
    kept = AnswerJournal(folder, name)
    for answer in left:
        kept.append(answer)
    for file in _files(folder):
        if file in files:
            file.unlink()
        else:
            os.utime(file, (oldest, oldest))


def _files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
