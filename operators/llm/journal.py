"""Answered calls on disk, from the moment they are answered until they are committed.

A run that is killed between two commits finds the answers again and pays for none twice.

A record is the length of its body and its CRC-32, four bytes each, little-endian, and the
body: the fields of `Answer` as a JSON list. Each writer has a file of its own. A process
that dies while it writes leaves half a record at the end of its file, which is not read.
"""

import errno
import os
import zlib
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path
from typing import BinaryIO

import orjson

from operators.llm.call import Answer

_HEAD_BYTES = 8
_SUFFIX = ".answers"


class AnswerJournal:
    """Append-only file of answers with a checksum each.

    Answers hold what people said: only the owner may read the file.

    Args:
        folder: one for all models; made when first written to.
        name: file of this writer, without suffix; no other writer may have it.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._path = folder / f"{name}{_SUFFIX}"

    def load(self) -> Iterator[Answer]:
        """Every intact answer of every writer, in order of file names."""
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            with path.open("rb") as file:
                yield from _read(file, path.stat().st_size)

    def append(self, answer: Answer) -> None:
        """Write and hand to the operating system: a killed process loses nothing of it.

        Cost: one write, about 30 microseconds; it is not flushed to the disk.

        Raises:
            OSError: it cannot be written, or only in part.
        """
        body = orjson.dumps(astuple(answer))
        head = len(body).to_bytes(4, "little") + zlib.crc32(body).to_bytes(4, "little")
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Opened anew each time, so that a journal can be dropped under a running writer.
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            if os.write(descriptor, head + body) < len(head) + len(body):
                raise OSError(errno.ENOSPC, "the journal is written only in part", str(self._path))
        finally:
            os.close(descriptor)


def _read(file: BinaryIO, size: int) -> Iterator[Answer]:
    while len(head := file.read(_HEAD_BYTES)) == _HEAD_BYTES:
        length = int.from_bytes(head[:4], "little")
        if length > size:
            return  # A torn write: there is no such record.
        body = file.read(length)
        if len(body) < length or zlib.crc32(body) != int.from_bytes(head[4:], "little"):
            return  # A torn write: nothing after it can be aligned.
        try:
            yield Answer(*orjson.loads(body))
        except (TypeError, orjson.JSONDecodeError):
            return  # Whole, but of another program: asked again, nothing is lost.
