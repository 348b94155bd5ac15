"""Tensor files: compressed caches as safetensors, written whole or not at all.

A file holds `keys`, `values` and `positions` with the layers stacked where all keep equally
many tokens, else `keys.0`, `keys.1`, ...; eight-bit ones have `.scales` beside them. The same
cache gives the same bytes, so the checksum tells whether a cache was made again as it had been.
The checksum is in the file's name: a cache made again never replaces bytes under a row.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from operators.replay.compressed import CompressedKv
from operators.replay.int8 import Int8, to_int8
from operators.replay.kv_header import KvHeader, KvStoreError, header_in
from operators.replay.spec import Precision

SUFFIX = ".safetensors"
TEMPORARY = ".tmp"
_NAME_DIGITS = 16
_GROUPS = {"keys": 16, "values": 32}
_INT8_LIMIT = 8e6
_FLOATS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class StoredFile:
    """A tensor file as written: `bytes` is its size, `checksum` its SHA-256 in hex."""

    path: Path
    bytes: int
    checksum: str


def save_kv(
    folder: Path, name: str, kv: CompressedKv, precision: Precision, *, model: str = ""
) -> StoredFile:
    """Write `kv` to `folder`/`name`-CHECKSUM.safetensors; it is on disk then, or nothing is.

    Args:
        folder: made where missing.
        name: what the file's name begins with.
        kv: on any device.
        precision: float32 and bfloat16 are casts; int8 has scales (see `int8`).
        model: fingerprint of the model, which `load_kv` can ask for.

    Raises:
        KvStoreError: numbers that are not finite, or too large for int8; a full disk or a folder
            without permission.

    Deterministic. Costs two copies of the stored tensors in memory.
    """
    _check_numbers(kv, folder / name, precision)
    header = KvHeader(
        model=model,
        precision=precision,
        dtype=str(kv.keys[0].dtype).removeprefix("torch."),
        source_tokens=kv.source_tokens,
        layers=tuple(key.shape[1] for key in kv.keys),
        kv_heads=kv.keys[0].shape[0],
        head_dim=kv.keys[0].shape[2],
    )
    data = save(_tensors(kv, header), header.to_metadata())
    checksum = hashlib.sha256(data).hexdigest()
    path = folder / f"{name}-{checksum[:_NAME_DIGITS]}{SUFFIX}"
    _write(path, data)
    return StoredFile(path, len(data), checksum)


def load_kv(
    path: Path, checksum: str, dtype: torch.dtype | None = None, *, model: str | None = None
) -> CompressedKv:
    """The cache in `path`, on the CPU.

    Args:
        path: of the tensor file.
        checksum: SHA-256 that was recorded for it.
        dtype: of keys and values; None: that of the tensors before they were stored.
        model: fingerprint that the file must name; None: any.

    Raises:
        KvStoreError: missing, another checksum, another format or model, or tensors that are
            not what the header says.

    Costs reading and hashing the file, about 1 s per GB, and two copies in memory.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise KvStoreError(f"the file cannot be read: {error.strerror}", path) from error
    if hashlib.sha256(data).hexdigest() != checksum:
        raise KvStoreError("the file is damaged: its SHA-256 is not the recorded one", path)
    header = header_in(path, data)
    header.check_model(path, model)
    try:
        tensors = load(data)
    except SafetensorError as error:
        raise KvStoreError(f"not a tensor file: {error}", path) from error
    wanted = dtype or getattr(torch, header.dtype)
    return CompressedKv(
        _restored(path, tensors, header, "keys", wanted),
        _restored(path, tensors, header, "values", wanted),
        _positions(path, tensors, header),
        header.source_tokens,
    )


def _check_numbers(kv: CompressedKv, path: Path, precision: Precision) -> None:
    limit = _INT8_LIMIT if precision == "int8" else float(torch.finfo(torch.float32).max)
    # nan is within no limit.
    if not all(bool((tensor.abs() <= limit).all()) for tensor in (*kv.keys, *kv.values)):
        raise KvStoreError(
            f"the cache holds numbers beyond {limit:g} or none at all, which {precision} cannot "
            "hold",
            path,
            "Set `dtype: float32` or another `precision:` in the `replay:` section.",
        )


def _tensors(kv: CompressedKv, header: KvHeader) -> dict[str, torch.Tensor]:
    out: dict[str, torch.Tensor] = {}
    for name, layers in (("keys", kv.keys), ("values", kv.values)):
        for key, tensor in _stacked(name, layers, rectangular=header.rectangular).items():
            if header.precision == "int8":
                short = to_int8(tensor, _GROUPS[name])
                out |= {key: short.numbers, f"{key}.scales": short.scales}
            else:
                out[key] = tensor.to(_FLOATS[header.precision])
    positions = [p.to(torch.int32) for p in kv.positions]
    out |= _stacked("positions", positions, rectangular=header.rectangular)
    return {key: tensor.contiguous().cpu() for key, tensor in out.items()}


def _stacked(
    name: str, layers: Sequence[torch.Tensor], *, rectangular: bool
) -> dict[str, torch.Tensor]:
    if rectangular:
        return {name: torch.stack(tuple(layers))}
    return {f"{name}.{number}": layer for number, layer in enumerate(layers)}


def _restored(
    path: Path,
    tensors: Mapping[str, torch.Tensor],
    header: KvHeader,
    name: str,
    dtype: torch.dtype,
) -> tuple[torch.Tensor, ...]:
    layers = _layers(path, tensors, header, name)
    if header.precision == "int8":
        scales = _layers(path, tensors, header, name, ".scales")
        layers = tuple(Int8(n, s).restored(dtype) for n, s in zip(layers, scales, strict=True))
    shapes = [(header.kv_heads, kept, header.head_dim) for kept in header.layers]
    if [tuple(layer.shape) for layer in layers] != shapes:
        raise KvStoreError(f"its {name} are not of the shape the header says", path)
    return tuple(layer.to(dtype) for layer in layers)


def _positions(
    path: Path, tensors: Mapping[str, torch.Tensor], header: KvHeader
) -> tuple[torch.Tensor, ...]:
    positions = _layers(path, tensors, header, "positions")
    shapes = [(header.kv_heads, kept) for kept in header.layers]
    if [tuple(layer.shape) for layer in positions] != shapes:
        raise KvStoreError("its positions are not of the shape the header says", path)
    return positions


def _layers(
    path: Path, tensors: Mapping[str, torch.Tensor], header: KvHeader, name: str, ending: str = ""
) -> tuple[torch.Tensor, ...]:
    try:
        if header.rectangular:
            return tensors[f"{name}{ending}"].unbind()
        return tuple(tensors[f"{name}.{n}{ending}"] for n in range(len(header.layers)))
    except KeyError as error:
        raise KvStoreError(f"it has no tensor {error}", path) from error


def _write(path: Path, data: bytes) -> None:
    """A temporary file, then its new name: who looks sees the whole file or none."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync(path.parent)
    except OSError as error:
        fix = "Free some space or check the folder; then run the same command again."
        raise KvStoreError(f"it cannot be written: {error.strerror}", path, fix) from error


def _sync(folder: Path) -> None:
    """The new name itself survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
