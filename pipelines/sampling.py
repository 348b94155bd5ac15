"""The head of an input, and how much of it that is, for `explain`."""

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import IO, cast

import pyarrow as pa
import zstandard

from operators.parse.base import ParseLimits
from pipelines.estimate import MAX_SAMPLE_MESSAGES, Sample, head
from transforms.sources.files import InputFile, read_blocks

_BLOCK_BYTES = 128 * 1024
_PROBE_BYTES = 4 * 1024 * 1024


def sample_input(
    files: Sequence[InputFile],
    format_name: str = "jsonl",
    limits: ParseLimits | None = None,
    max_messages: int = MAX_SAMPLE_MESSAGES,
) -> Sample:
    """The first messages of `files`, and their share of the uncompressed bytes.

    Raises:
        InputError: a file cannot be read.
    """
    sizes = [text_bytes(file) for file in files]
    blocks: list[pa.Table] = []
    rows = done = 0
    for file, size in zip(files, sizes, strict=True):
        read = 0
        for parsed in read_blocks(
            file, format_name, limits=limits or ParseLimits(), block_bytes=_BLOCK_BYTES
        ):
            blocks.append(parsed.messages)
            rows += parsed.messages.num_rows
            read = min(read + _BLOCK_BYTES, size)
            if rows >= max_messages:
                return _cut(blocks, rows, done + read, sum(sizes), max_messages)
        done += size
    return _cut(blocks, rows, done, sum(sizes), max_messages)


def _cut(blocks: list[pa.Table], rows: int, read: int, total: int, limit: int) -> Sample:
    """The sample, with the bytes of its own messages out of all those read."""
    kept = min(1.0, limit / rows) if rows else 1.0
    return Sample(head(blocks, limit), max(round(read * kept), 1), total)


def text_bytes(file: InputFile) -> int:
    """Bytes of a file once decompressed, from how well its first megabytes were compressed.

    0 where that is not known: standard input, or a damaged archive.
    """
    path = Path(file.path)
    if file.size == 0 or path.suffix not in {".gz", ".zst"}:
        return file.size
    try:
        with path.open("rb") as raw:
            text = _read_all(_decompressed(raw, path.suffix), _PROBE_BYTES)
            # At the end of the file, what came out is all there is.
            return text if raw.tell() >= file.size else round(text * file.size / raw.tell())
    except (OSError, EOFError, zstandard.ZstdError):
        return 0


def _decompressed(raw: IO[bytes], suffix: str) -> IO[bytes]:
    if suffix == ".gz":
        return cast("IO[bytes]", gzip.GzipFile(fileobj=raw))
    # Small reads, so that the position in the file is about that of the text.
    reader = zstandard.ZstdDecompressor().stream_reader(
        raw, read_size=8192, read_across_frames=True
    )
    return cast("IO[bytes]", reader)


def _read_all(stream: IO[bytes], limit: int) -> int:
    """Bytes read, up to about `limit`."""
    count = 0
    while count < limit and (chunk := stream.read(_BLOCK_BYTES)):
        count += len(chunk)
    return count
