"""What comes back from the store is what went in; anything else is refused, and says why."""

import json
import pickle
import struct
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from operators.replay.compressed import CompressedKv
from operators.replay.int8 import to_int8
from operators.replay.kv_header import METADATA_KEY, KvStoreError, read_header
from operators.replay.spec import Precision
from operators.replay.store import StoredFile, load_kv, save_kv

PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16", "int8")


def random_kv(
    layers: tuple[int, ...] = (7, 7), dtype: torch.dtype = torch.float32, seed: int = 0
) -> CompressedKv:
    """Three heads of 32 dimensions; the first token is far larger than the others."""
    generator = torch.Generator().manual_seed(seed)

    def tensor(kept: int) -> torch.Tensor:
        made = torch.randn(3, kept, 32, generator=generator)
        made[:, :1] *= 100
        return made.to(dtype)

    return CompressedKv(
        tuple(tensor(n) for n in layers),
        tuple(tensor(n) for n in layers),
        tuple(torch.arange(n, dtype=torch.int32).expand(3, n) * 2 for n in layers),
        source_tokens=99,
    )


def all_tensors(kv: CompressedKv) -> list[torch.Tensor]:
    return [*kv.keys, *kv.values, *kv.positions]


def rewritten(stored: StoredFile, header: bytes) -> None:
    """The file with another JSON header."""
    data = stored.path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    stored.path.write_bytes(struct.pack("<Q", len(header)) + header + data[8 + size :])


@pytest.mark.parametrize("layers", [(7, 7), (7, 3, 5), (1, 1)])
def test_float32_comes_back_bit_by_bit(tmp_path: Path, layers: tuple[int, ...]) -> None:
    kv = random_kv(layers)
    stored = save_kv(tmp_path, "a", kv, "float32", model="m")
    back = load_kv(stored.path, stored.checksum, model="m")
    for before, after in zip(all_tensors(kv), all_tensors(back), strict=True):
        assert torch.equal(before, after)
    assert (back.source_tokens, back.length) == (kv.source_tokens, kv.length)
    assert stored.bytes == stored.path.stat().st_size


@pytest.mark.parametrize("layers", [(64, 64), (64, 40)])
@pytest.mark.parametrize(
    ("precision", "error", "size"), [("bfloat16", 2**-8, 0.5), ("int8", 0.5 / 127 + 2**-11, 0.275)]
)
def test_shorter_numbers(
    tmp_path: Path, precision: Precision, error: float, size: float, layers: tuple[int, ...]
) -> None:
    """Sizes are those of keys and values; positions are kept whole."""
    kv = random_kv(layers)
    stored = save_kv(tmp_path, "a", kv, precision)
    back = load_kv(stored.path, stored.checksum)
    largest = [t.abs().amax(-1, keepdim=True) for t in (*kv.keys, *kv.values)]
    pairs = zip((*kv.keys, *kv.values), (*back.keys, *back.values), largest, strict=True)
    for before, after, bound in pairs:
        assert after.dtype == torch.float32
        assert bool(((before - after).abs() <= bound * error).all())
    positions = sum(p.numel() * 4 for p in kv.positions)
    assert stored.bytes - positions - 1500 <= kv.bytes * size


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_type_is_that_of_before_unless_asked(
    tmp_path: Path, dtype: torch.dtype, precision: Precision
) -> None:
    stored = save_kv(tmp_path, "a", random_kv(dtype=dtype), precision)
    assert {t.dtype for t in load_kv(stored.path, stored.checksum).keys} == {dtype}
    asked = load_kv(stored.path, stored.checksum, torch.float32)
    assert {t.dtype for t in (*asked.keys, *asked.values)} == {torch.float32}


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("layers", [(7, 7), (7, 3)])
def test_same_cache_same_bytes(
    tmp_path: Path, precision: Precision, layers: tuple[int, ...]
) -> None:
    once = save_kv(tmp_path / "a", "x", random_kv(layers), precision, model="m")
    again = save_kv(tmp_path / "b", "x", random_kv(layers), precision, model="m")
    other = save_kv(tmp_path / "a", "x", random_kv(layers, seed=1), precision, model="m")
    assert once.checksum == again.checksum
    assert once.path.name == again.path.name
    assert other.path != once.path  # bytes under a row are never replaced


def test_header_without_tensors(tmp_path: Path) -> None:
    stored = save_kv(tmp_path, "a", random_kv((7, 3)), "int8", model="m")
    header = read_header(stored.path, model="m")
    assert (header.layers, header.kv_heads, header.head_dim) == ((7, 3), 3, 32)
    assert (header.length, header.rectangular, header.precision) == (7, False, "int8")
    with pytest.raises(KvStoreError, match=r"another model .*--rebuild"):
        read_header(stored.path, model="other")


@given(offset=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_is_refused(tmp_path: Path, offset: float, bit: int) -> None:
    stored = save_kv(tmp_path, "a", random_kv(), "float32")
    data = bytearray(stored.path.read_bytes())
    data[int(offset * len(data))] ^= 1 << bit
    stored.path.write_bytes(data)
    with pytest.raises(KvStoreError, match=r"damaged.*--rebuild"):
        load_kv(stored.path, stored.checksum)


def test_missing_short_and_foreign_files(tmp_path: Path) -> None:
    stored = save_kv(tmp_path, "a", random_kv(), "float32", model="m")
    with pytest.raises(KvStoreError, match="another model"):
        load_kv(stored.path, stored.checksum, model="n")
    whole = stored.path.read_bytes()
    for cut in (whole[:-1], whole[:50], whole[:3], b""):
        stored.path.write_bytes(cut)
        with pytest.raises(KvStoreError, match="damaged"):
            load_kv(stored.path, stored.checksum)
    stored.path.unlink()
    for read in (lambda: load_kv(stored.path, "x"), lambda: read_header(stored.path)):
        with pytest.raises(KvStoreError, match=r"cannot be read.*--rebuild"):
            read()
    for text in (b"", b"not a tensor file at all", b"\xff" * 64):
        stored.path.write_bytes(text)
        with pytest.raises(KvStoreError, match="not a tensor file"):
            read_header(stored.path)


def test_other_formats(tmp_path: Path) -> None:
    stored = save_kv(tmp_path, "a", random_kv(), "float32")
    later = json.dumps({"format": 2, "unheard": "of"})
    rewritten(stored, json.dumps({"__metadata__": {METADATA_KEY: later}}).encode())
    with pytest.raises(KvStoreError, match="its format is 2, this program reads 1"):
        read_header(stored.path)
    rewritten(stored, b'{"__metadata__": {"format": "pt"}}')
    with pytest.raises(KvStoreError, match="not a tensor file of memoryflow"):
        read_header(stored.path)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1e30])
def test_numbers_that_do_not_fit(tmp_path: Path, number: float) -> None:
    kv = random_kv()
    kv.values[1][0, 3, 5] = number
    with pytest.raises(KvStoreError, match=r"int8 cannot hold.*precision"):
        save_kv(tmp_path, "a", kv, "int8")
    assert not list(tmp_path.iterdir())


def test_nothing_is_left_of_a_write_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(KvStoreError, match="cannot be written: No space left on device"):
        save_kv(tmp_path, "a", random_kv(), "float32")
    assert not list(tmp_path.iterdir())


def test_an_error_survives_the_way_from_an_actor() -> None:
    error = KvStoreError("it is gone", Path("/x"))
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@given(
    rows=st.lists(
        st.lists(st.floats(-1e6, 1e6, width=32), min_size=12, max_size=12), min_size=1, max_size=9
    ),
    group=st.sampled_from([2, 4, 12, 16]),
)
def test_int8_against_loops(rows: list[list[float]], group: int) -> None:
    short = to_int8(torch.tensor(rows), group)
    back = short.restored()
    width = group if 12 % group == 0 else 12
    for row, got in zip(rows, back.tolist(), strict=True):
        for start in range(0, 12, width):
            part = row[start : start + width]
            largest = max(abs(number) for number in part)
            for number, restored in zip(part, got[start : start + width], strict=True):
                # Half a step; half-precision scales add 1/2048, and end below 1e-5.
                assert abs(number - restored) <= largest * (0.5 / 127 + 2**-11) + 1e-5
