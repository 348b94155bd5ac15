"""Actors make the files that this process would make, and their errors are told in plain words."""

import os
import signal
import time
from contextlib import suppress
from threading import Thread

import psutil
import pytest

from jobs.errors import UsageError
from jobs.replay.compressors import Compressor, LocalCompressor, RayCompressors
from jobs.replay.refresh import refresh
from operators.replay.kv_header import read_header
from operators.replay.spec import EpisodeSpec, ReplaySpec
from tests.jobs.builds import SAMPLES
from tests.jobs.processes import wait_until
from tests.jobs.replay.kv_builds import CONVERSATION, ingest, kv_files, sample_talk
from transforms.warehouse.connection import Warehouse

pytestmark = pytest.mark.slow

SPEC = ReplaySpec(
    episodes=EpisodeSpec(window=2, max_chars=1_000), block=256, min_tokens=64, actors=2
)
TOO_SHORT = SPEC.model_copy(update={"scorer": "patch_prompt", "block": 16})


@pytest.fixture
def talked(warehouse: Warehouse) -> Warehouse:
    ingest(warehouse, sample_talk(SAMPLES / "logs" / "friends.jsonl", 30))
    return warehouse


@pytest.fixture(scope="module")
def local() -> LocalCompressor:
    """One model for all tests: its loading takes longest."""
    return LocalCompressor(SPEC)


def kill_an_actor() -> None:
    """As the kernel does that is short of memory."""
    while True:
        for process in making():
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
                return
        time.sleep(0.01)


def making() -> list[psutil.Process]:
    """Actors at work, of those that still run."""
    found: list[psutil.Process] = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if process.name().startswith("ray::_CompressorActor.make"):
                found.append(process)
    return found


def test_actors_make_the_same_files(
    talked: Warehouse, local: LocalCompressor, ray_here: None
) -> None:
    """Also where one of them is killed: its episode is begun again."""
    ours = refresh(talked, CONVERSATION, SPEC, local)
    assert len(ours) >= 2
    assert read_header(talked.path / ours[0].path).model == local.fingerprint
    killer = Thread(target=kill_an_actor, daemon=True)
    killer.start()
    theirs = refresh(talked, CONVERSATION, SPEC, RayCompressors(SPEC), rebuild=True)
    killer.join(60)
    assert not killer.is_alive()
    assert [row.checksum for row in theirs] == [row.checksum for row in ours]
    assert kv_files(talked.path) == sorted(talked.path / row.path for row in theirs)
    wait_until(lambda: not making(), 60, "end of the actors")  # Ray ends them by and by.


def test_a_block_too_short_for_the_patch_prompt(
    talked: Warehouse, local: LocalCompressor, ray_here: None
) -> None:
    compressors: list[Compressor] = [
        LocalCompressor(TOO_SHORT, local.model),
        RayCompressors(TOO_SHORT),
    ]
    for compressor in compressors:
        with pytest.raises(UsageError, match="replay: a patch prompt of 8 tokens cannot hold"):
            refresh(talked, CONVERSATION, TOO_SHORT, compressor)


def test_more_gpus_than_there_are(talked: Warehouse, ray_here: None) -> None:
    greedy = SPEC.model_copy(update={"gpus": 64.0})
    with pytest.raises(UsageError, match=r"2 actors with 64 GPUs each .*gpus"):
        refresh(talked, CONVERSATION, greedy, RayCompressors(greedy))
