"""A cache is memory text in another form: `forget` takes it, rows and files, and so on disk."""

import hashlib
import time
from pathlib import Path
from threading import Thread

import pyarrow as pa
import pytest

from jobs.forget import Target, forget
from jobs.replay.kv_rows import KvEpisode, read_kv_rows
from jobs.replay.refresh import plan_refresh, refresh
from tests.jobs.builds import build_here, sample_lines, write_log
from tests.jobs.processes import cli
from tests.jobs.replay.kv_builds import (
    CONVERSATION,
    SMALL,
    FakeCompressor,
    ingest,
    kv_files,
    talk,
)
from tests.jobs.test_forget import leaks
from transforms.warehouse.commit import ChangeSet, commit
from transforms.warehouse.connection import Warehouse, open_warehouse
from transforms.warehouse.erasure import announce_erasure, finish_pending_erasure
from transforms.warehouse.read import conversation_ids
from transforms.warehouse.scope import conversation_table

pytestmark = pytest.mark.slow  # Each builds a warehouse.

CANARY = "AzzqCanaryZ"
OTHER = ("default", "c2")
SECRET = Target("message", "m003")


def messages_only(_: Warehouse, remaining: pa.Table) -> dict[str, pa.Table]:
    return {"messages": remaining}


def two_conversations(warehouse: Warehouse) -> tuple[list[KvEpisode], list[KvEpisode]]:
    ingest(warehouse, {**talk(14), "m003": f"My locker at {CANARY} has the code 4711."})
    ingest(warehouse, talk(9, first=100), "c2")
    return (
        refresh(warehouse, CONVERSATION, SMALL, FakeCompressor()),
        refresh(warehouse, OTHER, SMALL, FakeCompressor()),
    )


def paths(rows: list[KvEpisode], warehouse: Path) -> list[Path]:
    return sorted(warehouse / row.path for row in rows)


def bytes_of(files: list[Path]) -> dict[Path, str]:
    return {file: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_dry_run_counts_and_changes_nothing(warehouse: Warehouse) -> None:
    gone, kept = two_conversations(warehouse)
    before = bytes_of(kv_files(warehouse.path)), warehouse.current_snapshot()
    report = forget(warehouse, SECRET, messages_only, dry_run=True)
    assert (report.messages, report.rows["kv_episodes"]) == (1, len(gone))
    assert (bytes_of(kv_files(warehouse.path)), warehouse.current_snapshot()) == before
    assert len(read_kv_rows(warehouse, CONVERSATION)) == len(gone)
    assert len(read_kv_rows(warehouse, OTHER)) == len(kept)


def test_a_message_takes_the_caches_of_its_conversation(warehouse: Warehouse) -> None:
    gone, kept = two_conversations(warehouse)
    assert leaks(warehouse.path, CANARY)
    assert leaks(warehouse.path, gone[0].checksum)
    report = forget(warehouse, SECRET, messages_only)
    assert report.rows["kv_episodes"] == len(gone)
    assert kv_files(warehouse.path) == paths(kept, warehouse.path)
    for row in gone:
        for trace in (row.kv_episode_id, row.episode_id, row.checksum):
            assert leaks(warehouse.path, trace) == []
    assert leaks(warehouse.path, CANARY) == []
    assert plan_refresh(warehouse, OTHER, SMALL, FakeCompressor()).up_to_date
    fake = FakeCompressor()
    again = refresh(warehouse, CONVERSATION, SMALL, fake)
    assert "m003" not in {name for row in again for name in row.source_message_ids}
    assert kv_files(warehouse.path) == sorted(
        paths(again, warehouse.path) + paths(kept, warehouse.path)
    )


def test_a_conversation_and_what_a_killed_build_left(warehouse: Warehouse) -> None:
    gone, kept = two_conversations(warehouse)
    folder = (warehouse.path / gone[0].path).parent
    (folder / "kv_0123-4567.safetensors").write_bytes(CANARY.encode())
    (folder / ".kv_0123-4567.safetensors.77.tmp").write_bytes(CANARY.encode())
    (warehouse.path / "kv" / "unfinished").touch()
    forget(warehouse, Target("conversation", "c1"), messages_only)
    assert kv_files(warehouse.path) == paths(kept, warehouse.path)
    assert leaks(warehouse.path, CANARY) == []


def test_an_erasure_that_was_killed_is_completed(warehouse: Warehouse) -> None:
    """Killed after its transaction: the rows are hidden, the files are there still."""
    _, kept = two_conversations(warehouse)
    announce_erasure(warehouse)
    scope = conversation_table([CONVERSATION])
    commit(warehouse, [ChangeSet(name, deletes=scope) for name in ("messages", "kv_episodes")])
    assert len(kv_files(warehouse.path)) > len(kept)
    assert finish_pending_erasure(warehouse)
    assert kv_files(warehouse.path) == paths(kept, warehouse.path)
    assert leaks(warehouse.path, CANARY) == []


def test_forgotten_while_its_caches_are_made(warehouse: Warehouse) -> None:
    """The build had read the text before; it must not make another file of it."""
    ingest(warehouse, talk(30))

    def erase() -> None:
        with open_warehouse(warehouse.path, threads=1) as other:
            forget(other, Target("conversation", "c1"), messages_only)

    eraser = Thread(target=erase)

    def wait_for_eraser() -> None:
        if len(fake.made) == 1:
            eraser.start()
            while not warehouse.wanted():
                time.sleep(0.01)

    fake = FakeCompressor(after=wait_for_eraser)
    assert refresh(warehouse, CONVERSATION, SMALL, fake) == []
    eraser.join()
    assert len(fake.made) == 1
    assert kv_files(warehouse.path) == []
    assert read_kv_rows(warehouse, CONVERSATION) == []


@pytest.mark.usefixtures("ray_here")
def test_the_command(tmp_path: Path) -> None:
    """After a real run, with facts and vectors: forget, dry first; then what is left is made."""
    folder = tmp_path / "w"
    lines = sample_lines(per_log=30, conversations_per_log=1)
    lines[7] = lines[7] | {"text": f"My locker at {CANARY} has the code 4711."}
    build_here(folder, write_log(tmp_path / "log.jsonl", lines))
    with open_warehouse(folder) as opened:
        rows = {
            conversation: refresh(opened, conversation, SMALL, FakeCompressor())
            for conversation in conversation_ids(opened)
        }
    target = ("default", str(lines[7]["conversation_id"]))
    kept = [row for name, found in rows.items() if name != target for row in found]
    arguments = ("forget", "-w", folder, "--message", lines[7]["message_id"], "--json")
    before = bytes_of(kv_files(folder))

    dry = cli(*arguments, "--dry-run")
    assert dry.code == 0, dry.stderr
    assert bytes_of(kv_files(folder)) == before

    done = cli(*arguments)
    assert done.code == 0, done.stderr
    assert kv_files(folder) == paths(kept, folder)
    assert leaks(folder, CANARY) == []
    for row in rows[target]:
        assert leaks(folder, row.checksum) == []
    with open_warehouse(folder) as opened:
        again = refresh(opened, target, SMALL, FakeCompressor())
    assert kv_files(folder) == paths([*kept, *again], folder)
