"""Which run this process is at: log lines, lineage events, spans and `runs` share its id."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class Run:
    """A run under way: its id, and the job: run, stream, consolidate or forget."""

    run_id: str
    job: str


class _Now:
    """A process is at one job at a time, in however many threads."""

    run: Run | None = None
    failed: Run | None = None


def current_run() -> Run | None:
    """The run of this process; None between runs."""
    return _Now.run


def told_run() -> Run | None:
    """The run that a log line is about: this process's, or the one that has just failed."""
    return _Now.run or _Now.failed


def new_run_id(started: datetime) -> str:
    """An id that sorts by start and no other run has."""
    return f"run_{started:%Y%m%dT%H%M%S}_{os.urandom(4).hex()}"


@contextmanager
def at_run(job: str) -> Generator[Run]:
    """From here on this process is at a new run of `job`."""
    before = _Now.run
    run = Run(new_run_id(datetime.now(UTC)), job)
    _Now.run, _Now.failed = run, None
    try:
        yield run
    except BaseException:
        _Now.failed = run  # Whoever tells of the error does so later.
        raise
    finally:
        _Now.run = before
