"""Progress of a build on stderr: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

_QUIET_SECONDS = 15.0


class Progress:
    """Rows done, rate, time left, texts embedded and embeddings saved."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._console = Console(stderr=True)
        self._bar: Bar | None = None
        self._task: TaskID | None = None
        self._messages = self._chars = self._done_messages = self._done_chars = 0
        self._embedded = self._saved = 0
        self._start = self._last = time.monotonic()

    def started(self) -> None:
        """The engine is up; rates count from here."""
        self._start = self._last = time.monotonic()
        self._say("engine ready, reading")

    def total(self, messages: int, chars: int) -> None:
        """The input is partitioned; its size is known."""
        self._messages, self._chars = messages, chars
        self._say(f"{messages:,} messages read ({chars:,} characters)")
        if self._console.is_terminal and not self._quiet and chars:
            self._bar = Bar(
                TextColumn("building"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f}% {task.fields[note]}"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=self._console,
            )
            self._task = self._bar.add_task("building", total=chars, note="")
            self._bar.start()

    def advance(self, messages: int, chars: int, counters: Mapping[str, Mapping[str, int]]) -> None:
        """A slice is done."""
        self._done_messages += messages
        self._done_chars += chars
        for counts in counters.values():
            self._embedded += counts.get("embedded", 0)
            self._saved += counts.get("reused", 0)
        self._show()

    def tick(self) -> None:
        """Time has passed."""
        if self._bar is None and time.monotonic() - self._last > _QUIET_SECONDS:
            self._show()

    def finished(self) -> None:
        """Everything is committed."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        self._say(f"built: {self._note()} in {time.monotonic() - self._start:.1f} s")

    def _show(self) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self._done_chars, note=self._note())
        elif time.monotonic() - self._last > _QUIET_SECONDS:
            self._last = time.monotonic()
            share = self._done_chars / self._chars if self._chars else 1.0
            spent = self._last - self._start
            left = f", about {spent * (1 - share) / share:.0f} s left" if share else ""
            self._say(f"{share:.0%}: {self._note()}{left}")

    def _note(self) -> str:
        rate = self._done_messages / max(time.monotonic() - self._start, 1e-9)
        return (
            f"{self._done_messages:,}/{self._messages:,} messages ({rate:,.0f}/s), "
            f"{self._embedded:,} embedded, {self._saved:,} saved"
        )

    def _say(self, text: str) -> None:
        if not self._quiet:
            print(f"memoryflow: {text}", file=sys.stderr, flush=True)
