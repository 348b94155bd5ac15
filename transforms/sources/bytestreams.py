"""Files as chunks of plain bytes, and chunks as numbered lines, in bounded memory."""

import hashlib
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
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
# What follows the end of a member is copied with each: small bites keep that linear.
_GZIP_BITE = 16 * 1024
# Logs shrink to a tenth or a fiftieth; zeros to a thousandth in gzip, and to far less in zstd.
MAX_RATIO = 200
_RATIO_COUNTS_FROM = 32 * 1024 * 1024
_GZIP_MAGIC, _ZSTD_MAGIC, _ZIP_MAGIC = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04"
_GZIP_WINDOW = 31  # zlib's code for: gzip header, 32 KiB window


class CorruptArchiveError(ValueError):
    """Compressed input that is damaged, cut off or a bomb; what came before it is good."""


def open_chunks(path: str) -> Iterator[bytes]:
    """The decompressed bytes of a file (plain, .gz, .zst; told by content) or of '-'.

    Raises:
        InputError: the file cannot be read, or is a zip archive.
        CorruptArchiveError: at the point where the compressed data breaks, or where it has
            become more than `MAX_RATIO` times its size (and 32 MiB).
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
        yield from _unpacked(raw, _gunzip)
    elif head.startswith(_ZSTD_MAGIC) or path.endswith(".zst"):
        yield from _unpacked(raw, _unzstd)
    elif head.startswith(_ZIP_MAGIC):
        raise InputError.zip_archive(path)
    else:
        yield from raw


def _raw_chunks(head: bytes, stream: BinaryIO) -> Iterator[bytes]:
    while head:
        yield head
        head = stream.read(CHUNK_BYTES)


def _unpacked(
    raw: Iterable[bytes], unpack: Callable[[Iterable[bytes]], Iterator[bytes]]
) -> Iterator[bytes]:
    """What `raw` unpacks to, as long as it is not a bomb."""
    packed = 0

    def counted() -> Iterator[bytes]:
        nonlocal packed
        for chunk in raw:
            packed += len(chunk)
            yield chunk

    unpacked = 0
    for chunk in _gathered(unpack(counted())):
        unpacked += len(chunk)
        yield chunk
        if unpacked > max(_RATIO_COUNTS_FROM, MAX_RATIO * packed):
            raise CorruptArchiveError(
                f"{packed:,} bytes became more than {unpacked:,}: that is no log but a bomb"
            )


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
    for bite in _bites(raw, _GZIP_BITE):
        data = bite
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
    for bite in _bites(raw, _ZSTD_BITE):
        data = bite
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


def _bites(raw: Iterable[bytes], size: int) -> Iterator[bytes]:
    for chunk in raw:
        for start in range(0, len(chunk), size):
            yield chunk[start : start + size]


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
