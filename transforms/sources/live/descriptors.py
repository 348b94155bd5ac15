"""A bounded number of open files; those used last stay open."""

import os
from collections.abc import Sequence

from transforms.sources.live.file_tail import FileTail

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK


class Descriptors:
    """Opens files on demand.

    An open file is read to its end wherever it is moved to, deleted even; hence files that
    are gone from their path are not closed to make room.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: dict[tuple[int, int], tuple[FileTail, int]] = {}

    def get(self, tail: FileTail) -> int | None:
        """A descriptor of this very file; None if it is no longer under its path.

        Raises:
            OSError: it is there and cannot be opened.
        """
        held = self._open.pop(tail.key, None)
        if held is None:
            fd = _open_file(tail)
            if fd is None:
                return None
            self._make_room()
            held = (tail, fd)
        self._open[tail.key] = held
        return held[1]

    def open_files(self) -> Sequence[tuple[FileTail, int]]:
        """What is open now."""
        return list(self._open.values())

    def release(self, tail: FileTail) -> None:
        """Close the file if it is open."""
        held = self._open.pop(tail.key, None)
        if held is not None:
            os.close(held[1])

    def close(self) -> None:
        """Close all."""
        for tail, _ in self.open_files():
            self.release(tail)

    def _make_room(self) -> None:
        if len(self._open) < self._limit:
            return
        for tail, _ in self.open_files():
            if not tail.gone:
                self.release(tail)
                return


def _open_file(tail: FileTail) -> int | None:
    try:
        fd = os.open(tail.path, _FLAGS)
    except FileNotFoundError:
        return None
    state = os.fstat(fd)
    if (state.st_dev, state.st_ino) != tail.key:
        os.close(fd)
        return None
    return fd
