"""JSON documents that hold many items: an array, or values one after the other.

Streams: only the item being decoded is in memory, so that a benchmark file of gigabytes
is read like a log. Bytes that are not UTF-8 become lone surrogates inside the strings they
stand in, and cost the one message, not the file.
"""

import codecs
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NoReturn

from operators.parse.base import MAX_RAW_BYTES
from operators.parse.record import MAX_JSON_DEPTH, deeper_than

MAX_ITEM_BYTES = 128 * 1024 * 1024
_SPACE = " \t\r\n"
# Decoding fails at most this far before the end when only the rest is missing ("\uXXXX").
_TAIL = 16


class ItemTooLargeError(ValueError):
    """One item of a document is larger than may be held in memory."""

    def __init__(self, number: int, limit: int) -> None:
        super().__init__(f"item {number} is larger than {limit} bytes")
        self.number = number


@dataclass(frozen=True)
class Item:
    """A decoded value, with its number from 1 and its size in characters."""

    number: int
    value: object
    size: int


@dataclass(frozen=True)
class BadItem:
    """What could not be decoded, cut to the bytes a dead letter keeps."""

    number: int
    raw: bytes
    reason: str
    detail: str


def iter_items(
    chunks: Iterable[bytes], max_item_bytes: int | None = None
) -> Iterator[Item | BadItem]:
    """The items of a document; what follows a syntax error is one `BadItem`.

    Raises:
        ItemTooLargeError: an item does not end within `max_item_bytes` (default MAX_ITEM_BYTES).
    """
    return _Document(chunks, MAX_ITEM_BYTES if max_item_bytes is None else max_item_bytes).items()


class _Document:
    def __init__(self, chunks: Iterable[bytes], limit: int) -> None:
        self._chunks = iter(chunks)
        self._utf8 = codecs.getincrementaldecoder("utf-8-sig")("surrogateescape")
        self._json = json.JSONDecoder(parse_constant=_refuse_constant)
        self._text = ""
        self._at = 0
        self._ended = False
        self._limit = limit
        self._number = 0

    def items(self) -> Iterator[Item | BadItem]:
        in_array = self._peek() == "["
        if in_array:
            self._at += 1
            if self._peek() == "]":
                self._at += 1
                in_array = False
        while (char := self._peek()) != "" or in_array:
            self._number += 1
            if char == "":
                yield self._bad("the document ends inside the array: is the file complete?")
                return
            item = self._next_item()
            yield item
            if isinstance(item, BadItem) and item.reason == "not_json":
                return
            if in_array:
                separator = self._peek()
                self._at += 1
                in_array = separator != "]"
                if separator not in (",", "]"):
                    self._at -= 1
                    self._number += 1
                    yield self._bad("there is no comma between two items")
                    return

    def _peek(self) -> str:
        """The next character that is no space, or '' at the end."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in _SPACE:
                    return self._text[self._at]
                self._at += 1
            if not self._read(1):
                return ""

    def _read(self, wanted: int) -> bool:
        """Append at least `wanted` characters if there are any; drop what was consumed."""
        pieces = [self._text[self._at :]]
        self._at = 0
        got = 0
        while got < wanted and not self._ended:
            chunk = next(self._chunks, None)
            self._ended = chunk is None
            piece = self._utf8.decode(chunk or b"", final=self._ended)
            pieces.append(piece)
            got += len(piece)
        self._text = "".join(pieces)
        return got > 0

    def _next_item(self) -> Item | BadItem:
        while True:
            try:
                value, end = self._json.raw_decode(self._text, self._at)
            except (json.JSONDecodeError, RecursionError, ValueError) as error:
                # Doubling keeps repeated decoding linear in the size of the item.
                held = len(self._text) - self._at
                if held > self._limit:
                    raise ItemTooLargeError(self._number, self._limit) from error
                if self._may_be_cut(error) and self._read(held):
                    continue
                return self._bad(str(error) if isinstance(error, ValueError) else "too deep")
            start, self._at = self._at, end
            if deeper_than(value, MAX_JSON_DEPTH):
                raw = _bytes(self._text[start:end])
                detail = f"the item is nested deeper than {MAX_JSON_DEPTH} levels: flatten it"
                return BadItem(self._number, raw, "bad_value", detail)
            return Item(self._number, value, end - start)

    def _may_be_cut(self, error: Exception) -> bool:
        if self._ended or not isinstance(error, json.JSONDecodeError):
            return False
        return error.msg.startswith("Unterminated") or error.pos >= len(self._text) - _TAIL

    def _bad(self, why: str) -> BadItem:
        detail = f"item {self._number} is not JSON ({why}), nothing after it was read: mend it"
        rest = _bytes(self._text[self._at : self._at + MAX_RAW_BYTES])
        return BadItem(self._number, rest, "not_json", detail)


def _bytes(text: str) -> bytes:
    # The text is undecoded input, so every surrogate in it stands for one odd byte.
    return text.encode("utf-8", "surrogateescape")[:MAX_RAW_BYTES]


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
