"""Input files: which there are, what is in them, block by block.

`--input` may be a file, a folder (searched recursively), a glob, or '-'. The list is
sorted, but nothing downstream depends on its order. A block is a few megabytes of lines,
or whole conversations of a document format, so memory stays bounded whatever the file.
"""

import glob
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from operators.parse.base import (
    DEFAULT_OPTIONS,
    Adapter,
    AdapterOptions,
    FileContext,
    Parsed,
    ParseLimits,
)
from operators.parse.documents import Item, ItemTooLargeError, iter_items
from operators.parse.formats import FORMATS, Format, add_item
from operators.parse.jsonl import (
    DEFAULT_LIMITS,
    add_line,
    add_undecodable,
    is_shallow,
    line_too_long,
)
from operators.parse.record import MAX_JSON_DEPTH, deeper_than
from operators.parse.rows import RowCollector
from transforms.sources.bytestreams import (
    STDIN,
    BrokenEnd,
    CorruptArchiveError,
    LongLine,
    iter_lines,
    open_chunks,
)
from transforms.sources.errors import InputError
from transforms.warehouse.identity import MARKER_FILE

BLOCK_BYTES = 4 * 1024 * 1024
_MAX_COMPANION_BYTES = 64 * 1024 * 1024
# What a line takes in memory at least, once it is a row: many short ones fill a block, too.
_ROW_BYTES = 64
_LINE_SUFFIXES = (".jsonl", ".ndjson")
_COMPRESSED = (".gz", ".zst")


@dataclass(frozen=True, order=True)
class InputFile:
    """A file to read; '-' is standard input, whose size is not known (0)."""

    path: str
    size: int


def expand_inputs(inputs: str | Sequence[str], format_name: str = "jsonl") -> list[InputFile]:
    """The files that `inputs` name, sorted by path, each once.

    Args:
        inputs: one or more of file, folder, glob, '-'.
        format_name: decides which files of a folder count; a named file always does.

    Raises:
        InputError: nothing there, nothing of the format, or stdin among other input.
    """
    specs = [inputs] if isinstance(inputs, str) else list(inputs)
    format_ = find_format(format_name)
    if not specs:
        raise InputError.no_input()
    if STDIN in specs:
        if len(specs) > 1:
            raise InputError.stdin_twice()
        return [InputFile(STDIN, 0)]
    paths = {path for spec in specs for path in _expand(spec, format_)}
    return sorted(_input_file(path) for path in paths)


def find_format(name: str) -> Format:
    """The format of that name.

    Raises:
        InputError: there is none; the message lists what there is.
    """
    try:
        return FORMATS[name]
    except KeyError:
        raise InputError.unknown_format(name, list(FORMATS)) from None


def file_digest(path: str) -> str:
    """SHA-256 (hex) of the bytes of a file as they lie on disk.

    Raises:
        InputError: the file cannot be read, or is standard input.
    """
    if path == STDIN:
        raise InputError.stdin_twice()
    try:
        with Path(path).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise InputError.unreadable(path, error) from error


def read_blocks(
    file: InputFile,
    format_name: str = "jsonl",
    *,
    limits: ParseLimits = DEFAULT_LIMITS,
    options: AdapterOptions = DEFAULT_OPTIONS,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[Parsed]:
    """Parse a file in blocks of about `block_bytes`; an item is never split over two.

    Damaged compression costs the rest of the file: a dead letter `corrupt_archive`.

    Raises:
        InputError: the file cannot be read, or an item does not fit in memory.
    """
    format_ = find_format(format_name)
    adapter = None
    if format_.adapter is not None:
        adapter = format_.adapter(_context(file, format_), options)
    if adapter is None or _is_line_file(file.path):
        return _line_blocks(file, adapter, limits, block_bytes)
    return _document_blocks(file, adapter, limits, block_bytes)


def _expand(spec: str, format_: Format) -> list[str]:
    path = Path(spec)
    if path.is_dir():
        found = [p for p in _walk(spec) if format_.files.fullmatch(Path(p).name)]
        if not found:
            raise InputError.empty_folder(spec, format_.name, format_.files.pattern)
        return found
    if path.exists():
        return [os.path.normpath(spec)]
    if not glob.has_magic(spec):
        raise InputError.missing(spec)
    matches = glob.iglob(spec, recursive=True)  # noqa: PTH207  Path.glob takes no absolute pattern
    found = [os.path.normpath(match) for match in matches if Path(match).is_file()]
    if not found:
        raise InputError.no_match(spec)
    return found


def _walk(folder: str) -> Iterator[str]:
    """Files below `folder`; hidden ones are editors' and systems' business, warehouses are ours."""
    for root, folders, names in os.walk(os.path.normpath(folder)):
        if MARKER_FILE in names:
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (str(Path(root, name)) for name in names if not name.startswith("."))


def _input_file(path: str) -> InputFile:
    try:
        return InputFile(path, Path(path).stat().st_size)
    except OSError as error:
        raise InputError.unreadable(path, error) from error


def _is_line_file(path: str) -> bool:
    for suffix in _COMPRESSED:
        path = path.removesuffix(suffix)
    return path == STDIN or path.endswith(_LINE_SUFFIXES)


def _context(file: InputFile, format_: Format) -> FileContext:
    folder = Path(file.path).absolute().parent.parent
    companions: dict[str, bytes] = {}
    for name in format_.companions if file.path != STDIN else ():
        path = folder / name
        if path.is_file():
            companions[name] = _whole(path)
    # Absolute, so that the folder of a file named from within it is still known.
    path = file.path if file.path == STDIN else Path(file.path).absolute().as_posix()
    return FileContext(path, companions)


def _whole(path: Path) -> bytes:
    """A companion, which is held in memory."""
    data = bytearray()
    try:
        for chunk in open_chunks(str(path)):
            data += chunk
            if len(data) > _MAX_COMPANION_BYTES:
                why = f"it is larger than {_MAX_COMPANION_BYTES} bytes"
                raise InputError.item_too_large(str(path), why)
    except CorruptArchiveError as error:
        raise InputError("input cannot be read", str(path), f"{error}: fetch it again.") from error
    return bytes(data)


class _Blocks:
    """Cuts what goes through it into blocks of about `block_bytes`."""

    def __init__(self, source: str, block_bytes: int) -> None:
        self._source = source
        self._limit = block_bytes
        self._size = self._steps = 0
        self.current = RowCollector(source)

    def grown(self, size: int) -> Iterator[Parsed]:
        """Note `size` more bytes; gives the block if it is full."""
        self._size += size
        self._steps += 1
        if max(self._size, self._steps * _ROW_BYTES) >= self._limit:
            yield from self.rest()

    def rest(self) -> Iterator[Parsed]:
        """The block as it is, if anything is in it."""
        parsed = self.current.finish()
        self._size = self._steps = 0
        self.current = RowCollector(self._source)
        if parsed.counters["in"]:
            yield parsed


def _line_blocks(
    file: InputFile, adapter: Adapter | None, limits: ParseLimits, block_bytes: int
) -> Iterator[Parsed]:
    blocks = _Blocks(file.path, block_bytes)
    for line in iter_lines(open_chunks(file.path), limits.max_line_bytes):
        if isinstance(line, LongLine):
            detail = line_too_long(line.cut.size, limits)
            blocks.current.refuse_cut(line.number, line.cut, "line_too_long", detail)
            yield from blocks.grown(len(line.cut.head))
        elif isinstance(line, BrokenEnd):
            _refuse_archive(blocks.current, line)
        else:
            number, raw = line
            if adapter is None:
                add_line(blocks.current, number, raw, limits)
            else:
                _add_item_line(blocks.current, number, raw, adapter, limits)
            yield from blocks.grown(len(raw))
    yield from blocks.rest()


def _add_item_line(
    collector: RowCollector, number: int, raw: bytes, adapter: Adapter, limits: ParseLimits
) -> None:
    line = raw.removesuffix(b"\r")
    if number == 1:
        line = line.removeprefix(b"\xef\xbb\xbf")
    if len(line) > limits.max_line_bytes:
        collector.refuse(number, line, "line_too_long", line_too_long(len(line), limits))
        return
    try:
        item = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        add_undecodable(collector, number, line, error)
        return
    if not is_shallow(line) and deeper_than(item, MAX_JSON_DEPTH):
        detail = f"the line is nested deeper than {MAX_JSON_DEPTH} levels: flatten it"
        collector.refuse(number, line, "bad_value", detail)
        return
    add_item(collector, number, item, adapter, limits)


def _document_blocks(
    file: InputFile, adapter: Adapter, limits: ParseLimits, block_bytes: int
) -> Iterator[Parsed]:
    blocks = _Blocks(file.path, block_bytes)
    try:
        for item in iter_items(open_chunks(file.path)):
            if isinstance(item, Item):
                add_item(blocks.current, item.number, item.value, adapter, limits)
                yield from blocks.grown(item.size)
            else:
                blocks.current.refuse(item.number, item.raw, item.reason, item.detail)
    except ItemTooLargeError as error:
        raise InputError.item_too_large(file.path, str(error)) from error
    except CorruptArchiveError as error:
        _refuse_archive(blocks.current, BrokenEnd(0, b"", str(error)))
    yield from blocks.rest()


def _refuse_archive(collector: RowCollector, end: BrokenEnd) -> None:
    detail = f"{end.detail}; everything before was read, nothing after: fetch the file again"
    collector.refuse(end.number, end.raw, "corrupt_archive", detail)
