"""What has been sent to a session pipeline and what it has told: enough to start it anew."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from transforms.event_time.live_runner import Windowing
from transforms.event_time.runs import SessionPane, SessionRun, Timing
from transforms.frame import Conversation

# Tokens of runs that stand for sessions which fired before the restart.
_WAS_CLOSED = -1
_WAS_OPEN = -2


@dataclass(frozen=True)
class Restart:
    """Runs for a new pipeline: before the watermark is set, and after."""

    closed: Sequence[SessionRun]
    open: Sequence[SessionRun]


class SessionLedger:
    """Runs that have not come back yet, and sessions as Beam last reported them.

    Decides nothing: the windows are those that Beam's panes have shown.
    """

    def __init__(self, windowing: Windowing) -> None:
        self._kept = windowing.gap + windowing.allowed_lateness
        self._unfired: dict[int, SessionRun] = {}
        self._sessions: dict[Conversation, list[SessionPane]] = {}
        self.closed = 0
        """Panes of closed sessions since the last restart."""

    @property
    def is_waiting(self) -> bool:
        """Whether runs have been sent that have not come back."""
        return bool(self._unfired)

    def sent(self, runs: Iterable[SessionRun]) -> None:
        """Runs on their way."""
        self._unfired.update((run.token, run) for run in runs)

    def fired(self, panes: Iterable[SessionPane]) -> Sequence[SessionPane]:
        """Take note of panes; gives them without the traces of a restart."""
        return [shown for pane in panes if (shown := self._note(pane)) is not None]

    def forget(self, watermark: datetime) -> int:
        """Drop sessions that no run can reach any more; returns how many are left."""
        oldest = watermark - self._kept
        kept = {
            conversation: live
            for conversation, sessions in self._sessions.items()
            if (live := [session for session in sessions if session.end >= oldest])
        }
        self._sessions = kept
        return sum(map(len, kept.values()))

    def restart(self) -> Restart:
        """Everything that a new pipeline must be told."""
        self.closed = 0
        sessions = [session for held in self._sessions.values() for session in held]
        closed = [_seed(each, _WAS_CLOSED) for each in sessions if _is_closed(each)]
        opened = [_seed(each, _WAS_OPEN) for each in sessions if not _is_closed(each)]
        return Restart(closed, [*opened, *self._unfired.values()])

    def _note(self, pane: SessionPane) -> SessionPane | None:
        for token in pane.tokens:
            self._unfired.pop(token, None)
        held = self._sessions.get(pane.conversation, [])
        apart = [each for each in held if each.end < pane.start or each.start > pane.end]
        self._sessions[pane.conversation] = [*apart, replace(pane, tokens=())]
        is_seed = _WAS_CLOSED in pane.tokens
        if _is_closed(pane) and not is_seed:
            self.closed += 1
        tokens = tuple(token for token in pane.tokens if token >= 0)
        closes = pane.timing is Timing.ON_TIME and not is_seed
        return replace(pane, tokens=tokens) if tokens or closes else None


def _is_closed(session: SessionPane) -> bool:
    return session.timing is not Timing.EARLY


def _seed(session: SessionPane, token: int) -> SessionRun:
    return SessionRun(session.conversation, token, session.start, session.end)
