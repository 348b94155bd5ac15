"""What engines do with tensor files before and after they read them."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from operators.replay.compressed import CompressedKv
from operators.replay.engines.base import ReplayEngineError, StoredKv
from operators.replay.engines.loaded_files import LoadedFiles
from operators.replay.engines.stored_files import StoredFiles
from operators.replay.kv_header import KvStoreError
from operators.replay.store import save_kv

MODEL = "the model"


def stored(folder: Path, fill: float, lengths: tuple[int, ...] = (5, 5)) -> StoredKv:
    tensors = tuple(torch.full((2, n, 4), fill) for n in lengths)
    positions = tuple(torch.arange(n).repeat(2, 1).int() for n in lengths)
    kv = CompressedKv(tensors, tensors, positions, 9)
    file = save_kv(folder, f"kv-{fill}", kv, "float32", model=MODEL)
    return StoredKv(f"kv-{fill}", file.path, file.checksum, kv.length)


def test_a_good_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, files = stored(tmp_path, 1), StoredFiles(MODEL)
    files.verify(cache)
    monkeypatch.setattr("hashlib.file_digest", lambda *_: pytest.fail("read again"))
    files.verify(cache)


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    cache, files = stored(tmp_path, 1), StoredFiles(MODEL)
    files.verify(cache)
    data = cache.path.read_bytes()
    cache.path.write_bytes(data[:-1] + b"x")
    os.utime(cache.path, ns=(1, 1))
    with pytest.raises(KvStoreError, match="damaged"):
        files.verify(cache)


def test_unusable_files_are_refused(tmp_path: Path) -> None:
    cache, files = stored(tmp_path, 1), StoredFiles(MODEL)
    with pytest.raises(KvStoreError, match="cannot be read"):
        files.verify(replace(cache, path=tmp_path / "gone"))
    with pytest.raises(KvStoreError, match="not the recorded one"):
        files.verify(replace(cache, checksum="0" * 64))
    with pytest.raises(KvStoreError, match="holds 5 tokens, 6 are recorded"):
        files.verify(replace(cache, length=6))
    with pytest.raises(KvStoreError, match="made by another model"):
        StoredFiles("another").verify(cache)
    with pytest.raises(ReplayEngineError, match="keep 3 to 5 tokens"):
        files.verify(stored(tmp_path, 2, (5, 3)))


def test_files_are_kept_until_others_need_the_room(tmp_path: Path) -> None:
    caches = [stored(tmp_path, fill) for fill in (1, 2, 3)]
    size = 2 * 2 * (2 * 5 * 4) * 4
    files = LoadedFiles(torch.float32, most_bytes=2 * size)

    def get(number: int) -> CompressedKv:
        return files.get(caches[number].path, caches[number].checksum)

    first, second = get(0), get(1)
    assert get(0) is first
    assert files.bytes == 2 * size
    get(2)
    assert files.bytes == 2 * size
    assert get(0) is first
    assert get(1) is not second
    assert torch.equal(get(1).keys[0], second.keys[0])


def test_a_file_larger_than_the_room_is_kept_alone(tmp_path: Path) -> None:
    one, two = stored(tmp_path, 1), stored(tmp_path, 2)
    files = LoadedFiles(torch.bfloat16, most_bytes=1)
    kv = files.get(one.path, one.checksum)
    assert kv.keys[0].dtype == torch.bfloat16
    assert files.get(one.path, one.checksum) is kv
    files.get(two.path, two.checksum)
    assert files.get(one.path, one.checksum) is not kv


def test_a_damaged_file_is_not_kept(tmp_path: Path) -> None:
    cache, files = stored(tmp_path, 1), LoadedFiles(torch.float32)
    good = cache.path.read_bytes()
    cache.path.write_bytes(good[:-1] + b"x")
    with pytest.raises(KvStoreError):
        files.get(cache.path, cache.checksum)
    cache.path.write_bytes(good)
    assert files.get(cache.path, cache.checksum).length == 5
