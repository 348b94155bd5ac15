"""Answered model calls on disk, from the moment they are answered until they are committed.

A run that is killed between two commits finds the answers again and pays for none twice.
Records are of one size, so a half-written last record is simply not a record.
"""

import errno
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from operators.base import Vectors

_HASH_BYTES = 16
_CHECK_BYTES = 4


class VectorJournal:
    """Append-only file of (text hash, vector) with a checksum each.

    Args:
        folder: one per model; created when first written to.
        name: file of this writer; each writer has its own.
        dimension: length of the vectors.
    """

    def __init__(self, folder: Path, name: str, dimension: int) -> None:
        self._folder = folder
        self._path = folder / f"{name}.vectors"
        self._dimension = dimension
        self._record = _HASH_BYTES + 4 * dimension + _CHECK_BYTES

    def load(self) -> Iterator[tuple[str, Vectors]]:
        """Every intact record of every writer, oldest file name first."""
        for path in sorted(self._folder.glob("*.vectors")):
            yield from self._read(path)

    def append(self, hashes: list[str], vectors: Vectors) -> None:
        """Write and hand to the operating system: a killed process loses nothing of it.

        Raises:
            OSError: it cannot be written, or only in part.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        data = bytearray()
        for text_hash, vector in zip(hashes, vectors, strict=True):
            body = bytes.fromhex(text_hash) + vector.astype("<f4").tobytes()
            data += body + zlib.crc32(body).to_bytes(_CHECK_BYTES, "little")
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            if os.write(descriptor, data) < len(data):
                raise OSError(errno.ENOSPC, "the journal is written only in part", str(self._path))
        finally:
            os.close(descriptor)

    def _read(self, path: Path) -> Iterator[tuple[str, Vectors]]:
        data = path.read_bytes()
        for start in range(0, len(data) - self._record + 1, self._record):
            body = data[start : start + self._record - _CHECK_BYTES]
            check = data[start + len(body) : start + self._record]
            if zlib.crc32(body) != int.from_bytes(check, "little"):
                return  # A torn write: nothing after it can be aligned.
            vector = np.frombuffer(body, "<f4", offset=_HASH_BYTES)
            yield body[:_HASH_BYTES].hex(), vector.astype(np.float32)
