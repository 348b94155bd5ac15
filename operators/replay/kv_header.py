"""What a tensor file says of itself; read without torch."""

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from operators.replay.spec import Precision

FORMAT = 1
"""Raised when files of before can no longer be read; part of the ids of caches."""
# One key: safetensors writes several in an order that changes from process to process.
METADATA_KEY = "memoryflow"
REBUILD = "Make it again: run `memoryflow replay --rebuild`."
_SIZE_BYTES = 8


class KvStoreError(RuntimeError):
    """A tensor file is missing, damaged, of another model, or cannot be written."""

    def __init__(self, what: str, file: Path, fix: str = REBUILD) -> None:
        super().__init__(what, file, fix)  # as given, so that it can be pickled
        self.what = what
        self.file = file
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.file}: {self.what}. {self.fix}"


@dataclass(frozen=True)
class KvHeader:
    """The header of a tensor file.

    Attributes:
        model: fingerprint of model, tokenizer and weights; empty where none was given.
        precision: of the stored tensors.
        dtype: of the tensors before they were stored: what loading gives by default.
        source_tokens: tokens before compression.
        layers: tokens kept in each layer.
        kv_heads: of the model.
        head_dim: of the model.
    """

    model: str
    precision: Precision
    dtype: str
    source_tokens: int
    layers: tuple[int, ...]
    kv_heads: int
    head_dim: int

    @property
    def length(self) -> int:
        """Position of the next token."""
        return max(self.layers)

    @property
    def rectangular(self) -> bool:
        """Whether all layers keep equally many tokens."""
        return len(set(self.layers)) == 1

    def to_metadata(self) -> dict[str, str]:
        """For safetensors."""
        return {METADATA_KEY: json.dumps({"format": FORMAT} | vars(self), sort_keys=True)}

    def check_model(self, path: Path, model: str | None) -> None:
        """KvStoreError unless it is of `model`; None: of any."""
        if model is not None and self.model != model:
            made_by = self.model or "unknown"
            raise KvStoreError(
                f"it was made by another model (fingerprint {made_by}, not {model})", path
            )


def read_header(path: Path, *, model: str | None = None) -> KvHeader:
    """What `path` says of itself, without reading tensors or verifying the checksum.

    Raises:
        KvStoreError: missing, not a tensor file, another format, or not of `model`.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            text = file.read(_header_size(path, file.read(_SIZE_BYTES), size))
    except OSError as error:
        raise KvStoreError(f"the file cannot be read: {error.strerror}", path) from error
    header = _parsed(path, text)
    header.check_model(path, model)
    return header


def header_in(path: Path, data: bytes) -> KvHeader:
    """The header in a file's bytes; `path` is for the message.

    Raises:
        KvStoreError: not a tensor file, or another format.
    """
    return _parsed(path, data[_SIZE_BYTES : _SIZE_BYTES + _header_size(path, data, len(data))])


def _header_size(path: Path, data: bytes, file_size: int) -> int:
    """Bytes of the JSON header, which come after the eight bytes that say so."""
    size = int(struct.unpack_from("<Q", data)[0]) if len(data) >= _SIZE_BYTES else 0
    if not 0 < size <= file_size - _SIZE_BYTES:
        raise KvStoreError("not a tensor file", path)
    return size


def _parsed(path: Path, text: bytes) -> KvHeader:
    try:
        fields: dict[str, Any] = json.loads(json.loads(text)["__metadata__"][METADATA_KEY])
        version = fields.pop("format")
        if version == FORMAT:
            layers = cast("list[int]", fields.pop("layers"))
            return KvHeader(layers=tuple(layers), **fields)
    except (KeyError, TypeError, ValueError) as error:
        raise KvStoreError("not a tensor file of memoryflow", path) from error
    raise KvStoreError(f"its format is {version}, this program reads {FORMAT}", path)
