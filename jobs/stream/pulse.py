"""How a stream is doing, for people and monitors: a small file, lines on stderr, metrics."""

import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from jobs.observe.logs import say
from jobs.stream.metrics import Metrics
from jobs.stream.report import StreamReport

PULSE_FILE = "stream.json"
_LOG = logging.getLogger(__name__)
_BEAT_SECONDS = 1.0
_LINE_SECONDS = 10.0
_NUMBERS = (
    *("watermark", "messages", "messages_per_second", "commits", "freshness_seconds"),
    *("in_flight_messages", "backlog", "troubles", "open_sessions", "dead_letters"),
)


@dataclass(frozen=True)
class Standing:
    """Where a stream stands at a moment."""

    watermark: datetime | None = None
    open_sessions: int = 0
    in_flight_messages: int = 0
    in_flight_bytes: int = 0
    backlog: Mapping[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    troubles: Mapping[str, str] = field(default_factory=dict[str, str])
    dead_letters: int = 0


class Pulse:
    """Writes DIR/stream.json once a second, which `memoryflow status` reads.

    The file is bookkeeping: counts and times, no text of any message. It is written beside
    the warehouse's tables and not in them, since lag grows while nothing is committed.
    """

    def __init__(
        self, folder: Path, report: StreamReport, metrics: Metrics | None, *, quiet: bool
    ) -> None:
        self._path = folder / PULSE_FILE
        self._report = report
        self._metrics = metrics
        self._quiet = quiet
        self._started = datetime.now(UTC)
        self._beaten = self._said = float("-inf")
        self._standing = Standing()
        self._failed = False
        self._ready = time.monotonic()
        self._write("starting")

    def started(self) -> None:
        """The engine is up."""
        self._ready = time.monotonic()
        self._say("engine.ready", "engine ready, streaming")
        self._write("running")

    def waiting(self, why: str) -> None:
        """The stream lets another process go first."""
        self._say("stream.waiting", f"waiting: {why}", why=why)
        self._write("waiting")

    def beat(self, standing: Callable[[], Standing]) -> None:
        """Time has passed; asks for the standing at most once a second."""
        now = time.monotonic()
        if now - self._beaten < _BEAT_SECONDS:
            return
        self._beaten = now
        self._standing = standing()
        self._write("running")
        if self._metrics is not None:
            self._metrics.update(self._report, self._standing)
        if now - self._said >= _LINE_SECONDS:
            self._said = now
            self._say("stream.pulse", self._line(), **self._numbers())

    def ended(self, standing: Standing) -> None:
        """The stream has ended in order."""
        self._standing = standing
        self._write("ended")
        report = self._report
        last = 0.0 if report.last_commit is None else report.last_commit - self._ready
        self._say(
            "stream.ended",
            f"ended: {report.messages:,} messages read, {report.commits:,} commits, "
            f"last commit after {max(last, 0.0):.1f} s",
            **self._numbers(),
        )

    def failed(self) -> None:
        """The stream ends with an error."""
        self._write("failed")

    def _line(self) -> str:
        standing, fresh = self._standing, self._report.freshness()
        parts = [
            f"{self._report.messages:,} messages read ({self._report.rate():,.0f}/s)",
            f"{standing.in_flight_messages:,} on their way",
            f"{sum(standing.backlog.values()):,} waiting in the sources",
            f"{standing.open_sessions:,} open sessions",
        ]
        if fresh:
            parts.append(f"searchable after {fresh['p50']:.1f} s (p95 {fresh['p95']:.1f} s)")
        parts += [f"{name}: {trouble}" for name, trouble in standing.troubles.items()]
        return ", ".join(parts)

    def _write(self, state: str) -> None:
        temporary = self._path.with_suffix(".tmp")
        try:
            temporary.write_bytes(orjson.dumps(self._content(state), option=orjson.OPT_INDENT_2))
            temporary.replace(self._path)
            self._failed = False
        except OSError as error:  # A full disk must not stop what may still be committed.
            if not self._failed:
                _LOG.error(
                    "%s cannot be written (%s); `status` will be out of date", self._path, error
                )
            self._failed = True

    def _content(self, state: str) -> dict[str, Any]:
        standing = self._standing
        return {
            "state": state,
            "pid": os.getpid(),
            "started_at": self._started,
            "at": datetime.now(UTC),
            "watermark": standing.watermark,
            "open_sessions": standing.open_sessions,
            "in_flight_messages": standing.in_flight_messages,
            "in_flight_bytes": standing.in_flight_bytes,
            "backlog": {f"{s} {p}": size for (s, p), size in sorted(standing.backlog.items())},
            "troubles": dict(standing.troubles),
            "messages": self._report.messages,
            "messages_per_second": round(self._report.rate(), 1),
            "commits": self._report.commits,
            "commit_seconds": self._report.commit_seconds(),
            "freshness_seconds": self._report.freshness(),
            "dead_letters": standing.dead_letters,
        }

    def _numbers(self) -> dict[str, Any]:
        """What the line says, for machines."""
        told = self._content("")
        return {name: told[name] for name in _NUMBERS}

    def _say(self, event: str, text: str, **fields: Any) -> None:
        if not self._quiet:
            say(event, f"memoryflow: {text}", **fields)
