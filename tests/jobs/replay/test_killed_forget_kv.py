"""A `forget` that is killed while another process builds caches is completed by the build."""

import time
from pathlib import Path
from threading import Thread

import pytest

from jobs.replay.refresh import refresh
from tests.jobs.replay.kv_builds import CONVERSATION, SMALL, FakeCompressor, ingest, talk
from tests.jobs.test_forget import leaks
from transforms.warehouse.commit import ChangeSet, commit
from transforms.warehouse.connection import Warehouse, open_warehouse
from transforms.warehouse.erasure import PENDING_FILE, announce_erasure
from transforms.warehouse.scope import conversation_table

pytestmark = pytest.mark.slow  # It builds a warehouse.

CANARY = "AzzqCanaryZ"


def test_before_the_next_episode(warehouse: Warehouse) -> None:
    ingest(warehouse, talk(30))
    ingest(warehouse, {"m900": f"My locker at {CANARY} has the code 4711."}, "c2")
    there: list[bool] = []

    def forget_halfway() -> None:
        with open_warehouse(warehouse.path, threads=1) as other:
            announce_erasure(other)
            gone = conversation_table([("default", "c2")])
            commit(other, [ChangeSet("messages", deletes=gone)])

    other = Thread(target=forget_halfway)

    def wait_for_other() -> None:
        there.append(_is_pending(warehouse.path))
        if len(fake.made) == 1:
            other.start()
            while not warehouse.wanted():
                time.sleep(0.01)

    fake = FakeCompressor(after=wait_for_other)
    rows = refresh(warehouse, CONVERSATION, SMALL, fake)
    other.join()

    assert len(rows) == len(fake.made) > 2
    assert not any(there)
    assert not _is_pending(warehouse.path)
    assert leaks(warehouse.path, CANARY) == []


def _is_pending(folder: Path) -> bool:
    return (folder / PENDING_FILE).exists()
