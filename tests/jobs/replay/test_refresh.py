"""Caches follow the messages: only what is missing is made, only what is outdated goes."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from jobs.replay.kv_rows import KvEpisode, kv_table, read_kv_rows
from jobs.replay.refresh import plan_refresh, refresh
from operators.replay.kv_header import KvStoreError
from operators.replay.store import load_kv
from schemas.tables import TABLES
from tests.jobs.replay.kv_builds import (
    CONVERSATION,
    SMALL,
    FakeCompressor,
    ingest,
    kv_files,
    talk,
)
from transforms.warehouse.commit import ChangeSet, commit
from transforms.warehouse.connection import Warehouse, open_warehouse
from transforms.warehouse.errors import WarehouseError
from transforms.warehouse.read import read_table

pytestmark = pytest.mark.slow  # Each builds a warehouse.

OTHER = ("default", "c2")


def paths(rows: list[KvEpisode], warehouse: Warehouse) -> list[Path]:
    return sorted(warehouse.path / row.path for row in rows)


def ids(rows: list[KvEpisode]) -> list[str]:
    return [row.kv_episode_id for row in rows]


def test_builds_what_the_conversation_needs(warehouse: Warehouse) -> None:
    ingest(warehouse, talk(30))
    fake = FakeCompressor()
    plan = plan_refresh(warehouse, CONVERSATION, SMALL, fake)
    assert (len(plan.missing), plan.ready, plan.complete) == (len(plan.episodes), [], False)
    assert "'c1': 5 of 5 episodes have no current KV cache" in plan.reason()
    rows = refresh(warehouse, CONVERSATION, SMALL, fake)
    assert ids(rows) == list(plan.episodes) == fake.made
    assert [name for row in rows for name in row.source_message_ids] == list(talk(30))
    assert kv_files(warehouse.path) == paths(rows, warehouse)
    for row in rows:
        stored = row.stored(warehouse.path)
        assert load_kv(stored.path, stored.checksum, model="model-1").length == stored.length
    after = plan_refresh(warehouse, CONVERSATION, SMALL, fake)
    assert (after.complete, after.up_to_date, after.reason()) == (True, True, "")
    assert ids(after.ready) == ids(rows)


def test_nothing_to_do_writes_nothing(warehouse: Warehouse) -> None:
    ingest(warehouse, talk(30))
    rows = refresh(warehouse, CONVERSATION, SMALL, FakeCompressor())
    snapshot = warehouse.current_snapshot()
    fake = FakeCompressor()
    assert ids(refresh(warehouse, CONVERSATION, SMALL, fake)) == ids(rows)
    assert (fake.made, warehouse.current_snapshot()) == ([], snapshot)
    warehouse.close()
    with open_warehouse(warehouse.path, read_only=True, threads=1) as there:
        assert ids(refresh(there, CONVERSATION, SMALL, fake)) == ids(rows)


def test_read_only_with_something_to_do(warehouse: Warehouse) -> None:
    ingest(warehouse, talk(30))
    warehouse.close()
    with (
        open_warehouse(warehouse.path, read_only=True, threads=1) as there,
        pytest.raises(WarehouseError, match="read-only"),
    ):
        refresh(there, CONVERSATION, SMALL, FakeCompressor())


def test_new_messages_make_one_episode_dirty(warehouse: Warehouse) -> None:
    ingest(warehouse, talk(28))
    ingest(warehouse, talk(5), "c2")
    before = refresh(warehouse, CONVERSATION, SMALL, FakeCompressor())
    refresh(warehouse, OTHER, SMALL, FakeCompressor())
    ingest(warehouse, talk(1, first=28))
    fake = FakeCompressor()
    after = refresh(warehouse, CONVERSATION, SMALL, fake)
    assert ids(after)[:-1] == ids(before)[: len(after) - 1]
    assert fake.made == ids(after)[-1:]
    rows = after + read_kv_rows(warehouse, OTHER)
    assert kv_files(warehouse.path) == paths(rows, warehouse)
    assert read_table(warehouse, "kv_episodes").num_rows == len(rows)


def test_an_edited_message_is_compressed_again(warehouse: Warehouse) -> None:
    ingest(warehouse, talk(30))
    refresh(warehouse, CONVERSATION, SMALL, FakeCompressor())
    keys = read_table(warehouse, "messages", ["tenant", "conversation_id", "message_id"])
    commit(warehouse, [ChangeSet("messages", deletes=keys.slice(0, 1))])
    name = keys["message_id"][0].as_py()
    ingest(warehouse, {name: talk(30)[name].replace("these", "other")})
    fake = FakeCompressor()
    after = refresh(warehouse, CONVERSATION, SMALL, fake)
    assert len(fake.made) == 1
    assert kv_files(warehouse.path) == paths(after, warehouse)


@pytest.mark.parametrize("harm", [Path.unlink, lambda file: file.write_bytes(b"short")])
def test_a_lost_file_is_made_again(warehouse: Warehouse, harm: Callable[[Path], object]) -> None:
    ingest(warehouse, talk(30))
    rows = refresh(warehouse, CONVERSATION, SMALL, FakeCompressor())
    harm(warehouse.path / rows[1].path)
    plan = plan_refresh(warehouse, CONVERSATION, SMALL, FakeCompressor())
    assert plan.missing == ids(rows)[1:2]
    fake = FakeCompressor()
    again = refresh(warehouse, CONVERSATION, SMALL, fake)
    assert fake.made == ids(rows)[1:2]
    assert [row.checksum for row in again] == [row.checksum for row in rows]


def test_a_damaged_file_is_refused_until_it_is_rebuilt(warehouse: Warehouse) -> None:
    """Damage that keeps the size shows when the file is loaded."""
    ingest(warehouse, talk(30))
    rows = refresh(warehouse, CONVERSATION, SMALL, FakeCompressor())
    file = warehouse.path / rows[0].path
    file.write_bytes(file.read_bytes()[:-1] + b"\xff")
    with pytest.raises(KvStoreError, match="replay --rebuild"):
        load_kv(file, rows[0].checksum)
    fake = FakeCompressor()
    again = refresh(warehouse, CONVERSATION, SMALL, fake, rebuild=True)
    assert sorted(fake.made) == sorted(ids(rows))
    assert load_kv(warehouse.path / again[0].path, again[0].checksum).length == 4


def test_a_rebuild_with_other_bytes_leaves_no_old_file(warehouse: Warehouse) -> None:
    ingest(warehouse, talk(30))
    before = refresh(warehouse, CONVERSATION, SMALL, FakeCompressor())
    after = refresh(warehouse, CONVERSATION, SMALL, FakeCompressor(salt=1), rebuild=True)
    assert ids(after) == ids(before)
    assert not {row.checksum for row in after} & {row.checksum for row in before}
    assert kv_files(warehouse.path) == paths(after, warehouse)


def test_other_models_and_compressions_stay_while_their_episodes_do(warehouse: Warehouse) -> None:
    ingest(warehouse, talk(28))
    first = refresh(warehouse, CONVERSATION, SMALL, FakeCompressor())
    model = refresh(warehouse, CONVERSATION, SMALL, FakeCompressor("model-2"))
    ratio = SMALL.model_copy(update={"ratio": 8.0})
    ratios = refresh(warehouse, CONVERSATION, ratio, FakeCompressor())
    assert kv_files(warehouse.path) == paths(first + model + ratios, warehouse)
    ingest(warehouse, talk(1, first=28))
    refresh(warehouse, CONVERSATION, ratio, FakeCompressor())
    now = {row.episode_id for row in read_kv_rows(warehouse, CONVERSATION)}
    assert first[0].episode_id in now
    assert first[-1].episode_id not in now


def test_versions_replace_each_other(warehouse: Warehouse) -> None:
    """A new version of a part makes its caches again, and the old ones go."""
    ingest(warehouse, talk(30))
    before = refresh(warehouse, CONVERSATION, SMALL, FakeCompressor())
    newer = FakeCompressor(versions=("fake@2", "per_head@1"))
    after = refresh(warehouse, CONVERSATION, SMALL, newer)
    assert not set(ids(before)) & set(ids(after))
    assert {row.scorer for row in read_kv_rows(warehouse, CONVERSATION)} == {"fake@2"}
    assert kv_files(warehouse.path) == paths(after, warehouse)


def test_what_a_killed_build_left_goes(warehouse: Warehouse) -> None:
    """Also where every row is there already: killed right before the end."""
    ingest(warehouse, talk(30))
    rows = refresh(warehouse, CONVERSATION, SMALL, FakeCompressor())
    folder = (warehouse.path / rows[0].path).parent
    (folder / "kv_0123.safetensors").write_bytes(b"no row names it")
    (folder / ".kv_0123.safetensors.77.tmp").write_bytes(b"half")
    (warehouse.path / "kv" / "unfinished").touch()
    fake = FakeCompressor()
    plan = plan_refresh(warehouse, CONVERSATION, SMALL, fake)
    assert (plan.complete, plan.up_to_date) == (True, False)
    assert ids(refresh(warehouse, CONVERSATION, SMALL, fake)) == ids(rows)
    assert fake.made == []
    assert kv_files(warehouse.path) == paths(rows, warehouse)


class StopError(Exception):
    """Ends a build as a crash would."""


def test_each_episode_is_committed_as_it_is_done(warehouse: Warehouse) -> None:
    ingest(warehouse, talk(30))

    def crash() -> None:
        if len(fake.made) == 3:
            raise StopError

    fake = FakeCompressor(after=crash)
    with pytest.raises(StopError):
        refresh(warehouse, CONVERSATION, SMALL, fake)
    assert ids(read_kv_rows(warehouse, CONVERSATION)) == sorted(fake.made[:2])
    assert len([f for f in kv_files(warehouse.path) if f.suffix == ".safetensors"]) == 3
    again = FakeCompressor()
    rows = refresh(warehouse, CONVERSATION, SMALL, again)
    assert set(again.made) == set(ids(rows)) - set(fake.made[:2])
    assert kv_files(warehouse.path) == paths(rows, warehouse)


@pytest.mark.parametrize("rebuild", [False, True])
def test_a_waiting_writer_goes_between_episodes(warehouse: Warehouse, rebuild: bool) -> None:
    """It adds messages meanwhile: what became useless is not kept, what is new is made."""
    ingest(warehouse, talk(30))
    if rebuild:
        refresh(warehouse, CONVERSATION, SMALL, FakeCompressor(salt=1))

    def write() -> None:
        with open_warehouse(warehouse.path, threads=1) as other:
            ingest(other, talk(10, first=30))

    writer = Thread(target=write)

    def wait_for_writer() -> None:
        if len(fake.made) == 1:
            writer.start()
            while not warehouse.wanted():
                time.sleep(0.01)

    fake = FakeCompressor(after=wait_for_writer)
    rows = refresh(warehouse, CONVERSATION, SMALL, fake, rebuild=rebuild)
    writer.join()
    assert [name for row in rows for name in row.source_message_ids] == list(talk(40))
    assert set(ids(rows)) <= set(fake.made)
    assert len(fake.made) == len(set(fake.made)), "nothing is made twice"
    assert kv_files(warehouse.path) == paths(rows, warehouse)
    assert len(read_kv_rows(warehouse, CONVERSATION)) == len(rows)


def test_same_messages_in_two_conversations(warehouse: Warehouse) -> None:
    """They share nothing: forgetting one must not take the other's file."""
    ingest(warehouse, talk(9))
    ingest(warehouse, talk(9), "c2")
    one = refresh(warehouse, CONVERSATION, SMALL, FakeCompressor())
    two = refresh(warehouse, OTHER, SMALL, FakeCompressor())
    assert not set(paths(one, warehouse)) & set(paths(two, warehouse))
    assert kv_files(warehouse.path) == paths(one + two, warehouse)


def test_no_messages_no_caches(warehouse: Warehouse) -> None:
    assert refresh(warehouse, CONVERSATION, SMALL, FakeCompressor()) == []
    assert not (warehouse.path / "kv").exists()


def test_rows_there_and_back(warehouse: Warehouse) -> None:
    ingest(warehouse, talk(5))
    row = refresh(warehouse, CONVERSATION, SMALL, FakeCompressor())[0]
    assert kv_table([row]).schema == TABLES["kv_episodes"].schema
    other = replace(row, kv_episode_id="other")
    commit(warehouse, [], [ChangeSet("kv_episodes", inserts=kv_table([other]))])
    back = {r.kv_episode_id: r for r in read_kv_rows(warehouse, CONVERSATION)}["other"]
    assert back.centroid.tolist() == row.centroid.tolist()
    assert (back.source_message_ids, back.checksum) == (row.source_message_ids, row.checksum)
