"""What a check finds, and what it is told to look at."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Attributes:
        check: what, in a word or two.
        status: ok; warn: works, but look at it; fail: a job will not work.
        detail: what was found.
        fix: what to do; '' where nothing is.
    """

    check: str
    status: Status
    detail: str
    fix: str = ""


@dataclass(frozen=True)
class Scope:
    """What to look at.

    Attributes:
        warehouse: folder; None looks at none.
        pipeline: name or file; None looks at none.
        start_ray: really start Ray, some ten seconds.
    """

    warehouse: Path | None = None
    pipeline: str | None = None
    start_ray: bool = False


Check = Callable[[Scope], Iterable[Finding]]
"""Looks, changes nothing, and never raises for what it finds."""
