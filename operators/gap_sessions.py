"""Sessions by gaps in event time, or as the input declared them."""

from datetime import timedelta
from typing import Any, ClassVar, Literal

from operators.base import Key, Models, Operator, StepResult, Tables
from operators.durations import Duration
from operators.frames import MESSAGE_ORDER, SCOPE, from_rows, groups, need, replace, values
from schemas.ids import content_hash, content_id

_MICROSECOND = timedelta(microseconds=1)
_COLUMNS = ("message_id", "content_hash", "is_current", "speaker", "timestamp", "given_session_id")


class GapSessions(Operator, frozen=True):
    """Cut a conversation into sessions where nobody spoke for longer than `gap`.

    Method: event-time session windows (Akidau et al., VLDB 2015, "The Dataflow Model").
    Messages that carry a session id form that session and are never cut; the others are cut
    in event order (timestamp, seq, message id) among themselves. A session's id comes from
    its given id or its first message, so a late message only changes the sessions it
    touches: it can join two of them.

    Input: `messages`; versions that are not current pass through without a session.
    Output: `sessions`; `messages.session_id`. Errors: none. Cost: none. Deterministic.

    Attributes:
        gap: the longest silence inside a session (`30m`, `6h`, `2d`, or ISO 8601).
    """

    operator: Literal["gap_sessions"] = "gap_sessions"
    gap: Duration = timedelta(hours=6)

    READS: ClassVar[tuple[str, ...]] = ("messages",)
    WRITES: ClassVar[tuple[str, ...]] = ("sessions", "messages.session_id")
    KEY: ClassVar[Key] = Key.CONVERSATION

    def run(self, tables: Tables, models: Models) -> StepResult:
        """Assign every current message to its session."""
        del models
        table = need(tables, "messages", self.operator)
        column = {name: values(table, name) for name in _COLUMNS}
        session_ids: list[str | None] = [None] * table.num_rows
        sessions: list[dict[str, Any]] = []
        for scope, rows in groups(table, SCOPE, MESSAGE_ORDER).items():
            current = [row for row in rows if column["is_current"][row]]
            for members in self._sessions(current, column):
                session = _session(scope, members, column)
                sessions.append(session)
                for row in members:
                    session_ids[row] = session["session_id"]
        out = {
            "sessions": from_rows("sessions", sessions),
            "messages": replace("messages", table, {"session_id": session_ids}),
        }
        counters = {"in": table.num_rows, "out": table.num_rows, "sessions": len(sessions)}
        return StepResult(out, counters)

    def _sessions(self, rows: list[int], column: dict[str, list[Any]]) -> list[list[int]]:
        gap = self.gap // _MICROSECOND
        given: dict[str, list[int]] = {}
        cut: list[list[int]] = []
        last: int | None = None
        for row in rows:
            name = column["given_session_id"][row]
            if name is not None:
                given.setdefault(name, []).append(row)
                continue
            now = column["timestamp"][row]
            if last is None or now - last > gap:
                cut.append([])
            cut[-1].append(row)
            last = now
        return [*given.values(), *cut]


def _session(
    scope: tuple[Any, ...], rows: list[int], column: dict[str, list[Any]]
) -> dict[str, Any]:
    tenant, conversation = scope
    first, last = rows[0], rows[-1]
    given = column["given_session_id"][first]
    name = ("gap", column["message_id"][first]) if given is None else ("given", given)
    versions = [column[name][row] for row in rows for name in ("message_id", "content_hash")]
    return {
        "tenant": tenant,
        "conversation_id": conversation,
        "session_id": content_id("session", tenant, conversation, *name),
        "content_hash": content_hash(*versions),
        "start_time": column["timestamp"][first],
        "end_time": column["timestamp"][last],
        "message_count": len(rows),
        "speakers": sorted({column["speaker"][row] for row in rows}),
        "first_message_id": column["message_id"][first],
        "last_message_id": column["message_id"][last],
        "given_session_id": given,
    }
