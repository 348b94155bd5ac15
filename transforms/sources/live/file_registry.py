"""Which files of a spec are there, what they are called, and which of them want reading."""

import logging
import os
from collections import defaultdict
from collections.abc import Callable

from transforms.sources.live.descriptors import Descriptors
from transforms.sources.live.file_identity import (
    Position,
    head_of,
    match_positions,
    twin_names,
)
from transforms.sources.live.file_spec import FileSpec, FoundFile
from transforms.sources.live.file_tail import FileTail
from transforms.sources.live.protocol import Polled

_LOGGER = logging.getLogger(__name__)
_SCAN_SECONDS = 1.0
_SCAN_SHARE = 20  # Scanning takes one part in so many of the time, or less.
_COPIES_TRIED = 100
_Tails = dict[tuple[int, int], FileTail]


class FileRegistry:
    """Knows the files of a spec by inode and by partition, and notices what becomes of them.

    Args:
        spec: which files there are.
        quiet: seconds after which a last line may do without its newline.
        linger: seconds after which a file that is rotated or gone is closed.
        max_open: files held open at a time.
        clock: monotonic seconds.

    Attributes:
        named: files that have a partition, by its name.
        nameless: files without a line yet.
        ready: files to be read, in turn.
        waiting: files that time may change.
        left: positions that no file stands at, by first-line hash and partition.
    """

    def __init__(
        self,
        spec: FileSpec,
        *,
        quiet: float,
        linger: float,
        max_open: int,
        clock: Callable[[], float],
    ) -> None:
        self.named: dict[str, FileTail] = {}
        self.nameless: _Tails = {}
        self.ready: _Tails = {}
        self.waiting: _Tails = {}
        self.left: defaultdict[str, dict[str, Position]] = defaultdict(dict)
        self._spec, self._clock = spec, clock
        self._quiet, self._linger = quiet, linger
        self._descriptors = Descriptors(max_open)
        self._files: _Tails = {}
        self._failed: _Tails = {}
        self._farewells: list[Polled] = []
        self._warned: set[str] = set()
        self._next_scan = -float("inf")
        self._scan_took = 0.0

    def look(self, now: float) -> None:
        """Notice what has changed; list the spec again if that was long ago."""
        for tail, fd in self._descriptors.open_files():
            try:
                self._note(tail, os.fstat(fd), now)
            except OSError as error:  # a network file system may lose an open file
                self._descriptors.release(tail)
                self.warn(tail, error)
        if now >= self._next_scan:
            self._scan(now)
            took = self._clock() - now
            # The faster of two: one may have taken long only because this process was stopped.
            usual, self._scan_took = min(took, self._scan_took), took
            self._next_scan = now + max(_SCAN_SECONDS, _SCAN_SHARE * usual)
        self._name_files(now)

    def _scan(self, now: float) -> None:
        found: dict[tuple[int, int], FoundFile] = {}
        for file in self._spec.find():
            found.setdefault((file.stat.st_dev, file.stat.st_ino), file)
        for key, file in found.items():
            tail = self._files.get(key)
            if tail is None:
                # Not seen at all: that its state is news brings it to be read.
                tail = self._files[key] = FileTail(file.path, key, file.rotated, (0, 0), now)
                self.nameless[key] = tail
            if file.rotated != tail.rotated or tail.gone:
                tail.changed = now
                self.waiting[key] = tail
            tail.path, tail.rotated, tail.gone = file.path, file.rotated, False
            self._note(tail, file.stat, now)
        for key, tail in self._files.items():
            if key not in found and not tail.gone:
                tail.gone, tail.changed = True, now
                self.waiting[key] = tail
        for key, tail in self._failed.items():
            self._try_again(key, tail)
        self._failed.clear()

    def _note(self, tail: FileTail, state: os.stat_result, now: float) -> None:
        if tail.note(state.st_size, state.st_mtime_ns, now):
            self._try_again(tail.key, tail)

    def _try_again(self, key: tuple[int, int], tail: FileTail) -> None:
        self.waiting[key] = tail
        if tail.partition is None:
            tail.scanned = tail.tried = -1
        else:
            self.ready[key] = tail

    # --- Which file is which ---

    def _name_files(self, now: float) -> None:
        """Name files that have a first line by now, those that start alike together."""
        alike: defaultdict[str, list[FileTail]] = defaultdict(list)
        for tail in list(self.nameless.values()):
            if not (due := self.due(tail, now)) and tail.scanned == tail.seen[0]:
                continue
            tail.scanned = tail.seen[0]
            tail.head = self._read_head(tail, due=due)
            if tail.head is not None:
                alike[tail.head].append(tail)
            elif due:
                tail.tried = tail.seen[0]
                if tail.gone:
                    self.forget(tail)
        for head, tails in alike.items():
            self._name_alike(head, sorted(tails, key=lambda tail: tail.path))

    def _read_head(self, tail: FileTail, *, due: bool) -> str | None:
        fd = self.open(tail)
        if fd is None:
            self.retry(tail)
            return None
        try:
            return tail.read_head(fd, quiet=due, finished=due and tail.gone)
        except OSError as error:
            self.warn(tail, error)
            return None

    def _name_alike(self, head: str, tails: list[FileTail]) -> None:
        left = self.left[head]
        for tail, name in match_positions(tails, left, self._fits):
            fd = self.open(tail)
            if fd is not None:
                tail.go_to(fd, left.pop(name))
                self._name(tail, name)
        free = (name for name in twin_names(head) if name not in self.named)
        for tail in tails:
            if tail.partition is None:
                tail.scanned = 0
                name = next(free)
                left.pop(name, None)
                self._name(tail, name)

    def _name(self, tail: FileTail, name: str) -> None:
        tail.partition = name
        self.named[name] = tail
        self.nameless.pop(tail.key, None)
        self.ready[tail.key] = self.waiting[tail.key] = tail

    def _fits(self, tail: FileTail, place: Position) -> bool:
        fd = self.open(tail)
        try:
            return fd is not None and tail.fits(fd, place)
        except OSError:
            return False

    def due(self, tail: FileTail, now: float) -> bool:
        """Quiet for long enough for its last line to be read, or the file to be closed."""
        patience = self._quiet if tail.pending and not tail.gone else self._linger
        return tail.unsettled and now - tail.changed >= patience

    def _say_closed(self, partition: str, place: Position) -> None:
        self._farewells.append(Polled(partition, [], place.to_json(), closed=True))

    def start_over(self, tail: FileTail) -> None:
        """The file was truncated; a copy made before that goes on where this one was."""
        _LOGGER.info("%s was truncated or rewritten; reading it from its beginning", tail.path)
        partition, place = tail.partition or "", tail.position()
        left = self.left[head_of(partition)]
        del self.named[partition]
        left[partition] = place
        copies = [
            twin
            for name, twin in self.named.items()
            if head_of(name) == tail.head and twin.offset < place.offset
        ]
        for twin, _ in match_positions(copies[:_COPIES_TRIED], {partition: place}, self._fits):
            self._take_over(twin, left.pop(partition), partition)
        if partition not in self.named:
            self._say_closed(partition, place)
        tail.restart()
        self.nameless[tail.key] = self.waiting[tail.key] = tail
        tail.scanned = -1

    def _take_over(self, twin: FileTail, place: Position, partition: str) -> None:
        """Go on as `partition`, and not under the name of the copy: its positions are in order."""
        own, fd = twin.partition, self.open(twin)
        if own is None or fd is None:
            return
        del self.named[own]
        self.left[head_of(own)][own] = twin.position()
        self._say_closed(own, twin.position())
        twin.go_to(fd, place)
        self._name(twin, partition)

    def forget(self, tail: FileTail) -> None:
        """Drop a file that is gone; should it come back, it goes on where it was."""
        self._descriptors.release(tail)
        for known in (self._files, self.nameless, self.waiting, self.ready, self._failed):
            known.pop(tail.key, None)
        if tail.partition is not None:
            self.named.pop(tail.partition, None)
            self.left[head_of(tail.partition)][tail.partition] = tail.position()

    def open(self, tail: FileTail) -> int | None:
        """A descriptor of the file; None if it cannot be had now, which is seen to."""
        try:
            return self._descriptors.get(tail)
        except OSError as error:
            self.warn(tail, error)
            return None

    def warn(self, tail: FileTail, error: OSError) -> None:
        """Say once that a file cannot be read, and try it again at the next scan."""
        self._failed[tail.key] = tail
        if tail.path not in self._warned:
            self._warned.add(tail.path)
            reason = error.strerror or str(error)
            _LOGGER.warning("cannot read %s: %s; going on with the others", tail.path, reason)

    def retry(self, tail: FileTail) -> None:
        """Read the file again after the next scan, which may find it elsewhere."""
        self._failed[tail.key] = tail

    def farewells(self) -> list[Polled]:
        """Partitions that ended because their file was truncated; told once."""
        told = [last for last in self._farewells if last.partition not in self.named]
        self._farewells = []
        return told

    def settle(self, now: float) -> None:
        """Have those read whose time has come."""
        for key, tail in list(self.waiting.items()):
            if tail.closed and tail.gone:
                self.forget(tail)
            elif not tail.unsettled:
                del self.waiting[key]
            elif tail.partition is not None and self.due(tail, now):
                del self.waiting[key]
                self.ready[key] = tail

    def close(self) -> None:
        """Close all files."""
        self._descriptors.close()
