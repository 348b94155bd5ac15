"""Sessions that are still open: those a stream has to close when the watermark passes."""

import heapq
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from transforms.event_time.runs import SessionRun
from transforms.frame import Conversation
from transforms.warehouse.connection import Warehouse


class OpenSessions:
    """When the newest session of each conversation closes, as far as it has not."""

    def __init__(self, gap: timedelta) -> None:
        self._gap = gap
        self._closes: dict[Conversation, datetime] = {}
        self._due: list[tuple[datetime, Conversation]] = []

    def saw(self, runs: Iterable[SessionRun]) -> None:
        """Runs have been handed to the runner."""
        for run in runs:
            closes = run.end + self._gap
            known = self._closes.get(run.conversation)
            if known is None or known < closes:
                self._closes[run.conversation] = closes
                heapq.heappush(self._due, (closes, run.conversation))

    def count(self, watermark: datetime | None) -> int:
        """Conversations with an open session at this watermark."""
        while watermark is not None and self._due and self._due[0][0] <= watermark:
            closes, conversation = heapq.heappop(self._due)
            if self._closes.get(conversation) == closes:
                del self._closes[conversation]
        return len(self._closes)


def recorded_open_sessions(
    warehouse: Warehouse,
    watermark: datetime | None,
    gap: timedelta,
    next_token: Callable[[], int],
) -> list[SessionRun]:
    """Sessions in the warehouse that the watermark has not passed, as runs without rows.

    The table `sessions` is committed with the positions, so it is the state of open sessions
    that belongs to them. The cost is a scan of one column, whatever is in the log.
    """
    if watermark is None:
        return []
    rows = warehouse.rows(
        "SELECT tenant, conversation_id, start_time, end_time FROM sessions "
        "WHERE end_time > ? ORDER BY ALL",
        [watermark - gap],
    )
    return [SessionRun((t, c), next_token(), start, end) for t, c, start, end in rows]
