"""The one retry layer of the warehouse: a busy catalog, and files compacted away under a reader."""

from collections.abc import Callable
from typing import TypeVar

import duckdb
import stamina

T = TypeVar("T")

_BUSY = ("database is locked", "database table is locked", "database schema is locked")
# DuckLake's own word, and PostgreSQL's for two transactions on one catalog.
_CONFLICT = ("transaction conflict", "could not serialize access", "deadlock detected")
# A reader that planned against a snapshot which maintenance has expired since.
_VANISHED = ("no such file or directory", "cannot open file", "no files found", "http 404")


# Enough for a reader overtaken by maintenance; a file that is truly lost should fail soon.
_VANISHED_ATTEMPTS = 5


class _Transient:
    """Whether to try again after an error; knows how often a file was missing."""

    def __init__(self) -> None:
        self._vanished = 0

    def __call__(self, error: Exception) -> bool:
        if not isinstance(error, duckdb.Error):
            return False
        text = str(error).lower()
        if any(mark in text for mark in (*_BUSY, *_CONFLICT)):
            return True
        self._vanished += any(mark in text for mark in _VANISHED)
        return 0 < self._vanished < _VANISHED_ATTEMPTS and any(m in text for m in _VANISHED)


def with_retry(action: Callable[[], T]) -> T:
    """Run `action`, again after a pause while the catalog is busy; at most 60 seconds in all."""
    for attempt in stamina.retry_context(
        on=_Transient(), attempts=20, timeout=60.0, wait_initial=0.02, wait_max=2.0
    ):
        with attempt:
            return action()
    raise AssertionError("unreachable")  # pragma: no cover
