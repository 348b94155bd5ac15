"""Live source over JSON Lines files that grow, rotate, and are truncated."""

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from transforms.sources.live.file_identity import Position, head_of
from transforms.sources.live.file_registry import FileRegistry
from transforms.sources.live.file_spec import FileSpec
from transforms.sources.live.file_tail import FileTail, Lines, TruncatedError
from transforms.sources.live.protocol import Polled

_LOGGER = logging.getLogger(__name__)
_NAP_SECONDS = 0.05
_LEAST_SHARE = 64 * 1024
_NO_LINE_YET = "(no line yet)"


class TailedFiles:
    """Follows files as `tail -F` does, and loses nothing over rotation and restarts.

    The spec is a file, a folder or a glob (`FileSpec` says what belongs to it) and may come
    to exist later. Only plain text is followed: compressed files in a folder or under a
    glob are ignored; read them with `run`.

    A partition is a file, named by the hash of its first line, so that renaming, copying
    and restarting change nothing; of files that start with the same line, the second is
    named `hash~2`. A file has no partition before its first line. Positions are JSON
    (`Position`): they go on after renaming and copying as long as the 256 bytes before them
    are unchanged; otherwise the file was truncated or rewritten, and is read from its
    beginning. What a writer adds between the last poll and a truncation is lost, unless the
    truncated file was copied before (copytruncate) to where the spec finds it.

    Record numbers are line numbers from 1. A line over `MAX_LINE_BYTES` comes as its first
    `MAX_LINE_BYTES + 1` bytes; the position is then inside the line (`"inside":"skipped"`)
    until its newline is passed. The last line counts without newline once the file was
    quiet for `quiet` seconds and the line is a whole JSON object, array or string.

    A file that is deleted, moved out of the spec, or rotated (by its name), is read to its
    end; after `linger` seconds without change it is closed. Should it grow again, its
    partition comes back. A file that was not among the `max_open` read last cannot be read
    on once it is out of sight; a warning says so if it was not at its end.

    Args:
        spec: path of a file or folder, or a glob.
        quiet: seconds after which a last line may do without its newline.
        linger: seconds after which a file that is rotated or gone is closed.
        max_open: files held open at a time.
        clock: monotonic seconds.
        sleep: waits so many seconds.

    Raises:
        InputError: the spec names a compressed file, or something that is no file.
    """

    def __init__(
        self,
        spec: str,
        *,
        quiet: float = 1.0,
        linger: float = 5.0,
        max_open: int = 128,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._spec = FileSpec(spec)
        self._clock, self._sleep = clock, sleep
        self._registry = FileRegistry(
            self._spec, quiet=quiet, linger=linger, max_open=max_open, clock=clock
        )

    @property
    def name(self) -> str:
        """`file:` and the absolute spec."""
        return f"file:{self._spec.path}"

    def resume(self, positions: Mapping[str, str]) -> None:
        """Start behind these positions; a file none of them fits starts at its beginning."""
        for partition, text in positions.items():
            try:
                place = Position.from_json(text)
            except ValueError as error:
                _LOGGER.warning("%s: no position for %s (%s)", self.name, partition, error)
                continue
            self._registry.left[head_of(partition)][partition] = place
        self._registry.look(self._clock())

    def poll(self, max_bytes: int, timeout: float) -> Sequence[Polled]:
        """New lines, about `max_bytes` over all files in turn; waits for some if need be."""
        deadline = self._clock() + timeout
        while True:
            now = self._clock()
            self._registry.look(now)
            polled = self._serve(max_bytes, now)
            left = deadline - self._clock()
            if polled or left <= 0:
                return polled
            self._sleep(min(_NAP_SECONDS, left))

    def partitions(self) -> Sequence[str]:
        """Files with a line, but for those closed."""
        return sorted(name for name, tail in self._registry.named.items() if not tail.closed)

    def backlog(self) -> Mapping[str, int]:
        """Bytes not polled yet, without a last line known to be unfinished.

        Files in which no line was found yet stand together as `(no line yet)`.
        """
        named, nameless_files = self._registry.named, self._registry.nameless.values()
        waiting = {name: tail.pending for name, tail in named.items() if tail.pending}
        nameless = sum(tail.pending for tail in nameless_files)
        return waiting | ({_NO_LINE_YET: nameless} if nameless else {})

    def acknowledge(self, positions: Mapping[str, str]) -> None:
        """Nothing to do: files keep what they hold."""

    def close(self) -> None:
        """Close all files."""
        self._registry.close()

    def _serve(self, max_bytes: int, now: float) -> list[Polled]:
        registry = self._registry
        registry.settle(now)
        queue, registry.ready = deque(registry.ready.values()), {}
        share = max(max_bytes // max(len(queue), 1), min(max_bytes, _LEAST_SHARE), 1)
        polled = registry.farewells()
        while queue and max_bytes > 0:
            tail = queue.popleft()
            before = tail.offset
            answer = self._serve_file(tail, min(share, max_bytes), now)
            if answer is not None:
                polled.append(answer)
                max_bytes -= max(tail.offset - before, 0)
        # Those served stand behind those that were not.
        registry.ready = {tail.key: tail for tail in queue} | registry.ready
        return polled

    def _serve_file(self, tail: FileTail, share: int, now: float) -> Polled | None:
        partition = tail.partition
        if partition is None:
            return None
        before = tail.position()
        due = self._registry.due(tail, now)
        lines: Lines = []
        fd = self._registry.open(tail)
        if fd is not None:
            try:
                lines = tail.read(fd, share)
                if not lines and due and (tail.pending or tail.gone):
                    lines = tail.read_rest(fd, finished=tail.gone)
            except TruncatedError:
                self._registry.start_over(tail)
                return None
            except OSError as error:
                self._registry.warn(tail, error)
                return None
        elif not tail.gone:
            self._registry.retry(tail)
        position = tail.position()
        self._sort(tail, moved=position != before)
        if due and self._at_end(tail, fd):
            tail.closed = True
        if position == before and not tail.closed:
            return None
        answer = Polled(partition, lines, position.to_json(), tail.pending, tail.closed)
        if tail.closed and tail.gone:
            self._registry.forget(tail)
        return answer

    def _sort(self, tail: FileTail, *, moved: bool) -> None:
        """Queue the file again, or have it wait for its last line or its closing."""
        if moved and tail.readable:
            self._registry.ready[tail.key] = tail
        elif moved or tail.rotated or tail.gone:
            self._registry.waiting[tail.key] = tail

    def _at_end(self, tail: FileTail, fd: int | None) -> bool:
        if tail.gone and fd is None:
            if tail.pending:
                _LOGGER.warning("%s is gone with %d bytes not read", tail.path, tail.pending)
            return True
        if tail.readable:
            return False
        return tail.gone or (tail.rotated and tail.seen[0] == tail.offset)
