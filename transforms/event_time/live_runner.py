"""What runs the live dataflow: an interface, so that runners can be exchanged."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from transforms.event_time.runs import SessionPane, SessionRun


@dataclass(frozen=True)
class Windowing:
    """Session windows and when they fire.

    Attributes:
        gap: a session ends after so long a silence, in event time.
        allowed_lateness: how long after the watermark has passed a window it still takes runs.
        early: an open session with new runs fires so long (processing time) after the first
            of them; None: only when the watermark passes.
    """

    gap: timedelta
    allowed_lateness: timedelta
    early: timedelta | None


class LiveRunner(Protocol):
    """Session windows over runs, live. Its methods are called by one thread.

    Runs that are later than allowed must not be sent: a runner drops them silently.
    """

    def start(self) -> None:
        """Start; returns once runs can be sent."""
        ...

    def send(self, runs: Sequence[SessionRun]) -> None:
        """Hand runs in."""
        ...

    def advance(self, watermark: datetime) -> None:
        """No run that ends its session before `watermark` is expected; never goes back."""
        ...

    def tick(self, elapsed: timedelta) -> None:
        """So much processing time has passed since the last call."""
        ...

    def panes(self) -> Sequence[SessionPane]:
        """Panes fired since the last call, in no particular order; does not wait.

        Raises:
            LiveRunnerError: the runner has failed.
        """
        ...

    def finish(self, timeout: float) -> Sequence[SessionPane]:
        """Advance the watermark to the end of time and stop: all that was not fired fires.

        Raises:
            LiveRunnerError: the runner has failed, or does not finish within `timeout` seconds.
        """
        ...

    def stop(self) -> None:
        """Stop at once; what was not fired is dropped. Harmless when stopped already."""
        ...


class LiveRunnerError(RuntimeError):
    """The runner has failed; the stream ends, and resumes from what was committed."""
