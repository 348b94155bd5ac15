"""One growing file: reads whole lines from where it stands, in bounded memory."""

import os
from dataclasses import dataclass, field

import orjson

from operators.parse.base import MAX_LINE_BYTES
from transforms.sources.live.file_identity import (
    HEAD_BYTES,
    TAIL_BYTES,
    Inside,
    Position,
    first_line_hash,
    tail_hash,
)

_CHUNK = 1024 * 1024
_BOM = b"\xef\xbb\xbf"
Lines = list[tuple[int, bytes]]


class TruncatedError(Exception):
    """The bytes before the position are no longer those that were read."""


@dataclass
class FileTail:
    """A file and how far it is read.

    Keeps no bytes of lines between reads but the 256 before the position: a line that is
    not finished is read again once it is; `scanned` saves searching it again meanwhile.

    Attributes:
        path: where it was seen last.
        key: device and inode.
        rotated: by its name, its log is written elsewhere now.
        seen: size and modification time (ns) last seen.
        changed: clock when `seen` last changed.
        head: `first_line_hash`, once there is a line.
        partition: its name, once there is a line.
        gone: no longer among the files of the spec.
        closed: reported as closed.
        tried: size at which the last line was found to be unfinished; -1: not tried.
    """

    path: str
    key: tuple[int, int]
    rotated: bool
    seen: tuple[int, int]
    changed: float
    head: str | None = None
    partition: str | None = None
    gone: bool = False
    closed: bool = False
    tried: int = -1
    offset: int = 0
    line: int = 0
    inside: Inside = Inside.START
    scanned: int = 0
    tail: bytes = field(default=b"", repr=False)

    @property
    def inode(self) -> int:
        """Its number in the file system."""
        return self.key[1]

    @property
    def readable(self) -> bool:
        """Bytes are there that were not searched for a newline yet."""
        return self.seen[0] != max(self.offset, self.scanned)

    @property
    def pending(self) -> int:
        """Bytes that wait; an end known to be unfinished waits for its writer, not for us."""
        return 0 if self.tried == self.seen[0] else max(0, self.seen[0] - self.offset)

    @property
    def unsettled(self) -> bool:
        """Time alone may change something: an unfinished last line, a file to be closed."""
        at_end = self.rotated and self.seen[0] == self.offset
        return not self.closed and bool(self.gone or self.pending or at_end)

    def position(self) -> Position:
        """Where it stands."""
        return Position(self.offset, self.line, tail_hash(self.tail), self.inode, self.inside)

    def fits(self, fd: int, position: Position) -> bool:
        """Whether the bytes before `position` are those of this file."""
        before = min(position.offset, TAIL_BYTES)
        tail = os.pread(fd, before, position.offset - before)
        return len(tail) == before and tail_hash(tail) == position.tail

    def go_to(self, fd: int, position: Position) -> None:
        """Go on from a position that `fits`."""
        before = min(position.offset, TAIL_BYTES)
        tail = os.pread(fd, before, position.offset - before)
        self._move(position.offset, position.line, position.inside, tail)

    def note(self, size: int, modified: int, now: float) -> bool:
        """Take down what the file system says; whether that is news."""
        if (size, modified) == self.seen:
            return False
        self.seen, self.changed = (size, modified), now
        self.tried, self.closed = -1, False
        if size < self.scanned:
            self.scanned = self.offset
        return True

    def restart(self) -> None:
        """Back to the beginning, as a file not known yet."""
        self._move(0, 0, Inside.START, b"")
        self.head = self.partition = None
        self.closed = False

    def read_head(self, fd: int, *, quiet: bool, finished: bool) -> str | None:
        """The hash of the first line, if there is one.

        Args:
            fd: of this file.
            quiet: a whole JSON value without newline is a line.
            finished: nothing more comes, so that any rest is a line.
        """
        head = os.pread(fd, HEAD_BYTES, 0)
        whole = finished or (quiet and _is_value(head, first=True))
        return first_line_hash(head, whole=whole)

    def read(self, fd: int, limit: int) -> Lines:
        """Whole lines of about `limit` bytes, at least one if there is one.

        Raises:
            TruncatedError: the file was cut or rewritten.
        """
        if self.offset == 0 and self.read_head(fd, quiet=True, finished=True) != self.head:
            raise TruncatedError(self.path)
        if self.inside is Inside.SKIPPED:
            self._skip(fd, limit)
            return []
        if self.scanned > self.offset:
            self._verified(fd, 0)
            return self._read_one(fd)
        data = self._verified(fd, min(limit, MAX_LINE_BYTES))
        end = data.rfind(b"\n")
        if end < 0:
            self.scanned = self.offset + len(data)
            return self._read_one(fd)
        return self._take(data[:end].split(b"\n"), data[: end + 1])

    def read_rest(self, fd: int, *, finished: bool) -> Lines:
        """The last line, which has no newline, if it is one whole JSON value.

        A number is not taken for whole: more digits may follow.

        Args:
            fd: of this file.
            finished: nothing more comes: the rest is a line whatever it holds.

        Raises:
            TruncatedError: the file was cut or rewritten.
        """
        rest = self._verified(fd, MAX_LINE_BYTES + 1)
        self.tried = self.offset + len(rest)
        if self.inside is Inside.SKIPPED or b"\n" in rest or not rest.strip():
            return []
        if not finished and not _is_value(rest, first=self.line == 0):
            return []
        number = self.line + 1
        self._advance(rest, self.line, Inside.TAKEN)
        return [(number, rest)]

    def _verified(self, fd: int, size: int) -> bytes:
        """Up to `size` bytes from the offset, read together with the proof that they follow."""
        before = len(self.tail)
        data = os.pread(fd, before + size, self.offset - before)
        if not data.startswith(self.tail):
            raise TruncatedError(self.path)
        return data[before:]

    def _take(self, lines: list[bytes], read: bytes) -> Lines:
        numbered = list(enumerate(lines, self.line + 1))
        if self.inside is Inside.TAKEN and not lines[0].strip():
            # Only the newline of a line that was handed out without it.
            del numbered[0]
        self._advance(read, self.line + len(lines), Inside.START)
        return numbered

    def _read_one(self, fd: int) -> Lines:
        """The next line, which is longer than was asked for; its head, if over the limit."""
        while self.scanned - self.offset <= MAX_LINE_BYTES:
            chunk = os.pread(fd, _CHUNK, self.scanned)
            if not chunk:
                return []
            newline = chunk.find(b"\n")
            if newline >= 0:
                size = self.scanned + newline - self.offset
                if size > MAX_LINE_BYTES:
                    break
                read = self._verified(fd, size + 1)
                if len(read) <= size:
                    raise TruncatedError(self.path)
                return self._take(read[:-1].split(b"\n"), read)
            self.scanned += len(chunk)
        head = self._verified(fd, MAX_LINE_BYTES + 1)
        if len(head) <= MAX_LINE_BYTES:
            raise TruncatedError(self.path)
        number = self.line + 1
        self._advance(head, self.line, Inside.SKIPPED)
        return [(number, head)]

    def _skip(self, fd: int, limit: int) -> None:
        """Pass over the rest of a line over the limit, or at least `limit` bytes of it."""
        passed = 0
        while passed < limit:
            chunk = self._verified(fd, _CHUNK)
            newline = chunk.find(b"\n")
            if newline >= 0:
                self._advance(chunk[: newline + 1], self.line + 1, Inside.START)
                return
            if not chunk:
                return
            self._advance(chunk, self.line, Inside.SKIPPED)
            passed += len(chunk)

    def _advance(self, read: bytes, line: int, inside: Inside) -> None:
        tail = (self.tail + read[-TAIL_BYTES:])[-TAIL_BYTES:]
        self._move(self.offset + len(read), line, inside, tail)

    def _move(self, offset: int, line: int, inside: Inside, tail: bytes) -> None:
        self.offset, self.line, self.inside, self.tail = offset, line, inside, tail
        self.scanned, self.tried = offset, -1


def _is_value(raw: bytes, *, first: bool) -> bool:
    text = raw.removeprefix(_BOM).strip() if first else raw.strip()
    if not text.startswith((b"{", b"[", b'"')):
        return False
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True
