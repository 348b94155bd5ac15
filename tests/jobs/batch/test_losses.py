"""What can be had again is told from what would fail again."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from ray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    NodeDiedError,
    ObjectLostError,
    ObjectReconstructionFailedError,
    OutOfMemoryError,
    OwnerDiedError,
    RayError,
    RayTaskError,
    WorkerCrashedError,
)

from jobs.batch import reading
from jobs.batch.losses import Lost, in_short, lost_with
from jobs.batch.reading import BlockInfo, Partition, ReadOptions, bucket_of, read_and_split
from jobs.batch.shared_folder import SharedFolder
from jobs.batch.slices import Slice
from jobs.errors import EngineError
from tests.jobs.builds import sample_lines, write_log
from transforms.frame import conversations_of
from transforms.sources.files import expand_inputs
from transforms.warehouse.staging import Staging

REFERENCE = ("00" * 28, None, "")
LOST_OBJECTS = [
    kind(*REFERENCE) for kind in (ObjectLostError, ObjectReconstructionFailedError, OwnerDiedError)
]


def raised(cause: Exception) -> RayTaskError:
    """As a call of an actor fails that has raised `cause`."""
    return RayTaskError("build", "Traceback ...", cause)


@pytest.mark.parametrize(
    "error",
    [
        ActorDiedError(),
        ActorUnavailableError("gone for now", b"0" * 16),
        NodeDiedError("its node has gone"),
        OutOfMemoryError("killed"),
        WorkerCrashedError(),
    ],
)
def test_a_process_that_went_is_replaced(error: RayError) -> None:
    assert lost_with(error) is Lost.WORKER


@pytest.mark.parametrize("error", [*LOST_OBJECTS, *map(raised, LOST_OBJECTS)])
def test_objects_that_went_are_made_again(error: RayError) -> None:
    assert lost_with(error) is Lost.OBJECTS


@pytest.mark.parametrize("error", [raised(ValueError("x")), raised(EngineError("x")), RayError()])
def test_other_failures_would_come_again(error: RayError) -> None:
    assert lost_with(error) is None


def test_an_actor_that_cannot_be_made_is_not_made_again_and_again() -> None:
    error = ActorDiedError()
    error._actor_init_failed = True
    assert lost_with(error) is None


def test_what_ray_says_is_cut_to_what_happened() -> None:
    error = NodeDiedError("\n its node has gone\n\n ip 10.0.0.7\n See https://docs ...")
    assert in_short(error) == "NodeDiedError: its node has gone"


def test_read_again_only_what_is_wanted(tmp_path) -> None:
    log = write_log(tmp_path / "log.jsonl", sample_lines(per_log=8))
    files, options = expand_inputs(str(log), "jsonl"), ReadOptions()
    tables = by_bucket(read_and_split(files, options))
    wanted = set(sorted(tables)[::2])
    again = by_bucket(read_and_split(files, options, wanted))
    assert set(again) == wanted < set(tables)
    assert all(table.equals(tables[bucket]) for bucket, table in again.items())


def by_bucket(blocks: Iterator[Any]) -> dict[int, pa.Table]:
    """The tables as the driver finds them: after the information that names their buckets."""
    found: dict[int, pa.Table] = {}
    for info in blocks:
        assert isinstance(info, BlockInfo)
        for bucket, messages in zip(info.buckets, info.messages, strict=True):
            table = next(blocks)
            assert table.num_rows == messages
            assert {bucket_of(*scope) for scope in conversations_of(table)} == {bucket}
            found[bucket] = pa.concat_tables([*([found[bucket]] if bucket in found else []), table])
    return found


@pytest.mark.parametrize("least", [0, 300, 10**9])
def test_tables_of_any_size_hold_every_message_once(tmp_path, monkeypatch, least: int) -> None:
    monkeypatch.setattr(reading, "_TABLE_BYTES", least)
    lines = sample_lines(per_log=8)
    for part in range(3):
        write_log(tmp_path / "log" / f"{part}.jsonl", lines[part::3])
    blocks = read_and_split(expand_inputs(str(tmp_path / "log"), "jsonl"), ReadOptions())
    read = [m for table in by_bucket(blocks).values() for m in table["message_id"].to_pylist()]
    assert sorted(read) == sorted(line["message_id"] for line in lines)


def test_a_slice_is_refilled_with_its_own_buckets() -> None:
    piece = Slice(blocks=["lost"], buckets=[3, 5, 7])
    piece.refill({3: Partition(["a", "b"]), 4: Partition(["c"]), 7: Partition(["d"])})
    assert piece.blocks == ["a", "b", "d"]


def test_an_actor_that_does_not_see_the_folder_says_so(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("transforms.warehouse.staging._SEEN_SECONDS", 0.0)
    marker = tmp_path / "w" / "staging" / "token"
    staging = Staging(marker, "data", 1, {})
    with pytest.raises(EngineError, match=r"does not see this warehouse.*mount the same folder"):
        SharedFolder(staging).require()
    marker.parent.mkdir(parents=True)
    marker.touch()
    folder = SharedFolder(staging)
    folder.require()
    marker.unlink()
    folder.require()  # It has been seen.
    SharedFolder(None).require()
