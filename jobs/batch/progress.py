"""Progress of a build on stderr: a bar on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from jobs.observe.logs import note, say
from jobs.observe.spans import past_span
from transforms.step_time import MILLISECONDS, SLICES

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
        past_span("engine start", time.monotonic() - self._start)
        self._start = self._last = time.monotonic()
        self._say("engine.ready", "engine ready, reading")

    def total(self, messages: int, chars: int) -> None:
        """The input is partitioned; its size is known."""
        self._messages, self._chars = messages, chars
        past_span("read", time.monotonic() - self._start, messages=messages, characters=chars)
        text = f"{messages:,} messages read ({chars:,} characters)"
        self._say("read.done", text, messages=messages, characters=chars)
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
        self._tell_slice(messages, chars, counters)
        self._show()

    def lost(self, text: str) -> None:
        """A process or a node went, and the work goes on without it."""
        self._say("build.lost", text, level="warning")

    def changed(self, files: Sequence[str]) -> None:
        """Input files that were written to while they were read: told however quiet we are."""
        for file in files:
            text = f"{file} changed while it was read; run again to have it as it is now"
            say("input.changed", f"memoryflow: {text}", level="warning", file=file)

    def waits(self, text: str) -> None:
        """Something takes long to start."""
        self._say("build.waits", text)

    def tick(self) -> None:
        """Time has passed."""
        if self._bar is None and time.monotonic() - self._last > _QUIET_SECONDS:
            self._show()

    def finished(self) -> None:
        """Everything is committed."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        seconds = time.monotonic() - self._start
        text = f"built: {self._note()} in {seconds:.1f} s"
        self._say("build.done", text, seconds=round(seconds, 3), **self._numbers())

    def _show(self) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self._done_chars, note=self._note())
        elif time.monotonic() - self._last > _QUIET_SECONDS:
            self._last = time.monotonic()
            share = self._done_chars / self._chars if self._chars else 1.0
            spent = self._last - self._start
            left = f", about {spent * (1 - share) / share:.0f} s left" if share else ""
            text = f"{share:.0%}: {self._note()}{left}"
            self._say("build.progress", text, share=round(share, 4), **self._numbers())

    def _tell_slice(
        self, messages: int, chars: int, counters: Mapping[str, Mapping[str, int]]
    ) -> None:
        """For machines: a slice is done, in another process and some time ago."""
        milliseconds = counters.get(SLICES, {}).get(MILLISECONDS, 0)
        past_span("slice", milliseconds / 1000, messages=messages, characters=chars)
        if not self._quiet:
            note("slice.done", messages=messages, characters=chars, milliseconds=milliseconds)

    def _numbers(self) -> dict[str, int]:
        """What `_note` says, for machines."""
        return {
            "messages": self._done_messages,
            "of": self._messages,
            "embedded": self._embedded,
            "saved": self._saved,
        }

    def _note(self) -> str:
        rate = self._done_messages / max(time.monotonic() - self._start, 1e-9)
        return (
            f"{self._done_messages:,}/{self._messages:,} messages ({rate:,.0f}/s), "
            f"{self._embedded:,} embedded, {self._saved:,} saved"
        )

    def _say(self, event: str, text: str, **fields: Any) -> None:
        if not self._quiet:
            say(event, f"memoryflow: {text}", **fields)
