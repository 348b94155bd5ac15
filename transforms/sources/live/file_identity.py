"""How a log file is told from others, and a place in it from another file's.

Names and inodes do not last: logs are rotated, copied, moved to other disks. What lasts is
how a file starts, so its partition is named by a hash of its first line. A place in it is
an offset and a hash of the bytes before; both hashes hold no text of a message.
"""

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeVar, cast

HEAD_BYTES = 64 * 1024
TAIL_BYTES = 256
_TWIN = "~"
_MAX_OFFSET = 2**62
_MOST_TRIES = 100_000


class Inside(StrEnum):
    """Where an offset lies within its line.

    START: at its beginning. TAKEN: all before is handed out already as a line, since it was
    a whole JSON value without a newline; a newline that follows ends that line. SKIPPED: the
    line is over the limit, its head is handed out, and the rest up to the newline is not.
    """

    START = ""
    TAKEN = "taken"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Position:
    """A place in a file.

    Attributes:
        offset: bytes before it.
        line: newlines before it.
        tail: `tail_hash` of the up to 256 bytes before it.
        inode: of the file last seen; only breaks ties between files that start alike.
        inside: where in its line it is.
    """

    offset: int
    line: int
    tail: str
    inode: int = 0
    inside: Inside = Inside.START

    def to_json(self) -> str:
        """Compact JSON: `{"offset":10,"line":1,"tail":"…","inode":7}`, `inside` if not start."""
        fields: dict[str, object] = {
            "offset": self.offset,
            "line": self.line,
            "tail": self.tail,
            "inode": self.inode,
        }
        if self.inside is not Inside.START:
            fields["inside"] = self.inside.value
        return json.dumps(fields, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Position":
        """The inverse of `to_json`.

        Raises:
            ValueError: `text` is no position of a file.
        """
        try:
            value = json.loads(text)
        except RecursionError as error:
            raise ValueError("a position is not nested") from error
        if not isinstance(value, dict):
            raise ValueError("a position is a JSON object")
        fields = cast("dict[str, object]", value)
        offset, line, inode = (fields.get(key, 0) for key in ("offset", "line", "inode"))
        tail, inside = fields.get("tail"), Inside(fields.get("inside", ""))
        if not (isinstance(offset, int) and isinstance(line, int) and isinstance(inode, int)):
            raise ValueError("a position counts in integers")
        if not isinstance(tail, str) or min(offset, line) < 0 or offset > _MAX_OFFSET:
            raise ValueError("a position has an offset, a line and a tail")
        return cls(offset, line, tail, inode, inside)


def tail_hash(tail: bytes) -> str:
    """Stands for the bytes before a position (16 hex digits)."""
    return hashlib.sha256(tail).hexdigest()[:16]


def first_line_hash(head: bytes, *, whole: bool = False) -> str | None:
    """Hash (12 hex digits) of the first line that is not blank; None if there is none yet.

    Args:
        head: the first `HEAD_BYTES` of the file, or all of it; longer lines count up to there.
        whole: a last line without newline is a line, too.
    """
    line, newline, _ = head.lstrip().partition(b"\n")
    if not line or not (newline or whole or len(head) >= HEAD_BYTES):
        return None
    return hashlib.sha256(line.rstrip()).hexdigest()[:12]


def twin_names(head: str) -> Iterator[str]:
    """Partition names of files that start with `head`: itself, `head~2`, `head~3`, ..."""
    yield head
    for number in itertools.count(2):
        yield f"{head}{_TWIN}{number}"


def head_of(partition: str) -> str:
    """The first-line hash in a partition name."""
    return partition.partition(_TWIN)[0]


class HasInode(Protocol):
    """A file as far as `match_positions` cares."""

    @property
    def inode(self) -> int:
        """Its number in the file system."""
        ...


_File = TypeVar("_File", bound=HasInode)


def match_positions(
    files: Sequence[_File],
    left: Mapping[str, Position],
    fits: Callable[[_File, Position], bool],
) -> list[tuple[_File, str]]:
    """Which file, of those that start alike, goes on from which position left behind.

    A file under its old inode comes first; then the position furthest on that `fits`. Where
    very many files start alike, not all combinations are tried, and some start anew.
    """
    matched: list[tuple[_File, str]] = []
    places = dict(left)
    inodes = {place.inode: name for name, place in sorted(left.items(), key=_reach)}
    others: list[_File] = []
    for file in files:
        name = inodes.get(file.inode)
        if name in places and fits(file, places[name]):
            matched.append((file, name))
            del places[name]
        else:
            others.append(file)
    tries = _MOST_TRIES
    for name, place in sorted(places.items(), key=_reach, reverse=True):
        chosen = next((file for file in others[:tries] if fits(file, place)), None)
        tries -= min(tries, len(others))
        if chosen is not None:
            matched.append((chosen, name))
            others.remove(chosen)
    return matched


def _reach(named: tuple[str, Position]) -> int:
    return named[1].offset
