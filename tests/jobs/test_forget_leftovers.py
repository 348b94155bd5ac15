"""Text that a killed run left beside the tables: nothing is found in memory, and it goes too."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.forget import Target, forget
from tests.jobs.test_forget import CANARY, ingest, leaks, trivial_rebuild
from transforms.warehouse.connection import Warehouse, open_warehouse
from transforms.warehouse.read import counts

pytestmark = pytest.mark.slow  # Starts child processes.

# What a build does before its first commit, and then no more.
_KILLED = """
import os, signal, sys
from jobs.llm_gateways import ANSWERS_DIR
from operators.llm.call import Answer
from operators.llm.journal import AnswerJournal
from tests.transforms.warehouse.rows import messages
from transforms.warehouse.commit import ChangeSet
from transforms.warehouse.connection import JOURNAL_DIR, open_warehouse
from transforms.warehouse.kv_files import begin_kv_changes, kv_folder
from transforms.warehouse.staging import Stager, staging

path, what, text = sys.argv[1:]
with open_warehouse(path, threads=1) as warehouse, staging(warehouse, 1) as opened:
    if what == "staged":
        Stager(opened).stage([ChangeSet("messages", inserts=messages("c9", {"m9": text}))])
    else:
        opened.marker.unlink()
        opened.marker.parent.rmdir()
    if what == "answers":
        folder = warehouse.path / JOURNAL_DIR / ANSWERS_DIR
        AnswerJournal(folder, "worker").append(Answer("call", "ok", text))
    if what == "kv":
        begin_kv_changes(warehouse)
        kv_folder(warehouse, "kv_00").mkdir()
        (kv_folder(warehouse, "kv_00") / "kv_00.safetensors.tmp").write_text(text)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def killed_run(warehouse: Path, what: str) -> None:
    command = [sys.executable, "-c", _KILLED, str(warehouse), what, CANARY]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL


@pytest.mark.parametrize("what", ["staged", "answers", "kv"])
def test_what_a_killed_run_left_goes_though_nothing_is_found(folder: Path, what: str) -> None:
    target = Target("person", CANARY)
    with open_warehouse(folder, threads=1) as warehouse:
        ingest(warehouse, {"c1": {"m1": "hello"}})
    killed_run(folder, what)
    assert leaks(folder, CANARY)

    with open_warehouse(folder, read_only=True) as reader:
        report = forget(reader, target, trivial_rebuild, dry_run=True)
    assert (report.messages, report.leftovers) == (0, False)
    assert leaks(folder, CANARY)

    with open_warehouse(folder, threads=1) as warehouse:
        report = forget(warehouse, target, trivial_rebuild)
        assert (report.messages, report.resumed, report.leftovers) == (0, False, True)
        assert counts(warehouse)["messages"] == 1
        assert not forget(warehouse, target, trivial_rebuild).leftovers
    assert leaks(folder, CANARY) == []


def test_where_nothing_is_left_nothing_is_rewritten(warehouse: Warehouse) -> None:
    ingest(warehouse, {"c1": {"m1": "hello"}})
    before = warehouse.current_snapshot()
    (warehouse.path / "journal" / "answers").mkdir(parents=True)
    assert not forget(warehouse, Target("conversation", "c9"), trivial_rebuild).leftovers
    assert warehouse.rows("SELECT min(snapshot_id) FROM lake.snapshots()")[0][0] < before
