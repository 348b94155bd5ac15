"""Files as chunks of plain bytes, and chunks as numbered lines, in bounded memory."""

import hashlib
import sys
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import zstandard

from operators.parse.base import MAX_RAW_BYTES
from operators.parse.rows import CutInput
from transforms.sources.errors import InputError

STDIN = "-"
CHUNK_BYTES = 1024 * 1024
# A zstd block of a few bytes can stand for 128 KiB: small bites bound what one bite becomes.
_ZSTD_BITE = 2048
_GZIP_MAGIC, _ZSTD_MAGIC, _ZIP_MAGIC = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04"
_GZIP_WINDOW = 31  # zlib's code for: gzip header, 32 KiB window


class CorruptArchiveError(ValueError):
    """Compressed input that is damaged or cut off; what came before it is good."""


def open_chunks(path: str) -> Iterator[bytes]:
    """The decompressed bytes of a file (plain, .gz, .zst; told by content) or of '-'.

    Raises:
        InputError: the file cannot be read, or is a zip archive.
        CorruptArchiveError: at the point where the compressed data breaks.
    """
    try:
        if path == STDIN:
            yield from _plain_chunks(sys.stdin.buffer, path)
        else:
            with Path(path).open("rb") as stream:
                yield from _plain_chunks(stream, path)
    except OSError as error:
        raise InputError.unreadable(path, error) from error


def _plain_chunks(stream: BinaryIO, path: str) -> Iterator[bytes]:
    head = stream.read(CHUNK_BYTES)
    raw = _raw_chunks(head, stream)
    if head.startswith(_GZIP_MAGIC) or path.endswith(".gz"):
        yield from _gathered(_gunzip(raw))
    elif head.startswith(_ZSTD_MAGIC) or path.endswith(".zst"):
        yield from _gathered(_unzstd(raw))
    elif head.startswith(_ZIP_MAGIC):
        raise InputError.zip_archive(path)
    else:
        yield from raw


def _raw_chunks(head: bytes, stream: BinaryIO) -> Iterator[bytes]:
    while head:
        yield head
        head = stream.read(CHUNK_BYTES)


def _gathered(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Pieces joined to chunks; on damage, what was gathered comes before the error."""
    held: list[bytes] = []
    size = 0
    try:
        for piece in pieces:
            held.append(piece)
            size += len(piece)
            if size >= CHUNK_BYTES:
                yield b"".join(held)
                held, size = [], 0
    except CorruptArchiveError:
        yield b"".join(held)
        raise
    yield b"".join(held)


def _gunzip(raw: Iterable[bytes]) -> Iterator[bytes]:
    decoder, complete, seen = zlib.decompressobj(_GZIP_WINDOW), False, False
    for chunk in raw:
        data = chunk
        while data:
            if complete:
                # Members may follow each other; zero bytes pad archives on tape.
                data = data.lstrip(b"\0") if seen else data
                if not data:
                    break
                decoder, complete = zlib.decompressobj(_GZIP_WINDOW), False
            try:
                piece = decoder.decompress(data, CHUNK_BYTES)
            except zlib.error as error:
                raise CorruptArchiveError(f"gzip: {error}") from error
            seen = True
            yield piece
            complete = decoder.eof
            data = decoder.unused_data if complete else decoder.unconsumed_tail
    if not complete:
        raise CorruptArchiveError("gzip: the file ends early")


def _unzstd(raw: Iterable[bytes]) -> Iterator[bytes]:
    decoder, complete = zstandard.ZstdDecompressor().decompressobj(), False
    for chunk in raw:
        for start in range(0, len(chunk), _ZSTD_BITE):
            data = chunk[start : start + _ZSTD_BITE]
            while data:
                if complete:
                    decoder, complete = zstandard.ZstdDecompressor().decompressobj(), False
                try:
                    yield decoder.decompress(data)
                except zstandard.ZstdError as error:
                    raise CorruptArchiveError(f"zstd: {error}") from error
                complete = decoder.eof
                data = decoder.unused_data if complete else b""
    if not complete:
        raise CorruptArchiveError("zstd: the file ends early")


@dataclass(frozen=True)
class LongLine:
    """A line over the limit, of which only the head was kept."""

    number: int
    cut: CutInput


@dataclass(frozen=True)
class BrokenEnd:
    """Where a damaged archive stopped: the line that was being read, and what happened."""

    number: int
    raw: bytes
    detail: str


def iter_lines(
    chunks: Iterable[bytes], max_line_bytes: int
) -> Iterator[tuple[int, bytes] | LongLine | BrokenEnd]:
    """Lines numbered from 1, without their newline; holds no more than a chunk and a line."""
    number, pending, long = 1, b"", None
    try:
        for chunk in chunks:
            *whole, rest = chunk.split(b"\n")
            for line in whole:
                if long is not None:
                    long.add(line)
                    yield LongLine(number, long.cut())
                    long = None
                else:
                    yield number, (pending + line if pending else line)
                pending = b""
                number += 1
            if long is not None:
                long.add(rest)
            elif len(pending) + len(rest) > max_line_bytes:
                long = _Cutter()
                long.add(pending)
                long.add(rest)
                pending = b""
            else:
                pending += rest
    except CorruptArchiveError as error:
        raw = long.head if long is not None else pending
        yield BrokenEnd(number, raw, str(error))
        return
    if long is not None:
        yield LongLine(number, long.cut())
    elif pending:
        yield number, pending


class _Cutter:
    """Measures and hashes a line without keeping it."""

    def __init__(self) -> None:
        self.head = b""
        self._size = 0
        self._hash = hashlib.sha256()

    def add(self, piece: bytes) -> None:
        self.head += piece[: MAX_RAW_BYTES - len(self.head)]
        self._size += len(piece)
        self._hash.update(piece)

    def cut(self) -> CutInput:
        return CutInput(self.head, self._size, self._hash.digest())
