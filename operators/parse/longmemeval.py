"""LongMemEval (Wu et al. 2024, https://arxiv.org/abs/2410.10813): `longmemeval_s.json`.

Each question has a haystack of sessions of one user with an assistant. Ids: conversation
`lme-<question_id>`, session `<conversation>/s<i>`, message `<conversation>/<n>` with n
running through the haystack. All messages of a session share its time (the data has no
zone: UTC); `seq` is n. Questions, answers and evidence marks are not read.
Dead letters: an item without a haystack, a session time that cannot be read, a turn
without role or text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from operators.parse.base import (
    DEFAULT_OPTIONS,
    AdapterOptions,
    Outcome,
    Record,
    Refused,
    as_array,
    as_object,
)
from operators.parse.chat import refused_id

_TIME = re.compile(r"(\d{4})/(\d\d?)/(\d\d?)(?:\s*\([A-Za-z]+\))?\s+(\d\d?):(\d\d)", re.ASCII)


@dataclass(frozen=True)
class LongMemEvalAdapter:
    """Converts the haystack of one question."""

    options: AdapterOptions = DEFAULT_OPTIONS

    def convert(self, item: object) -> Iterator[Outcome]:
        """One outcome per turn of the haystack."""
        question = as_object(item) or {}
        question_id = question.get("question_id")
        sessions = as_array(question.get("haystack_sessions"))
        dates = as_array(question.get("haystack_dates"))
        if not isinstance(question_id, str) or sessions is None or dates is None:
            detail = (
                'no "question_id", "haystack_sessions" and "haystack_dates": '
                "is this a LongMemEval file? See --format"
            )
            yield Refused(item, "missing_field", detail)
            return
        if (refused := refused_id(item, question_id)) is not None:
            yield refused
            return
        conversation_id, number = f"lme-{question_id}", 0
        for index, session in enumerate(sessions):
            time = haystack_time(dates[index]) if index < len(dates) else None
            for turn in as_array(session) or []:
                yield _outcome(turn, conversation_id, index, number, time)
                number += 1


def haystack_time(text: object) -> datetime | None:
    """The UTC time that e.g. '2023/05/20 (Sat) 02:21' says; None if it is no such text."""
    match = _TIME.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        return None
    try:
        year, month, day, hour, minute = (int(group) for group in match.groups())
        return datetime(year, month, day, hour, minute, tzinfo=UTC)
    except ValueError:
        return None


def _outcome(
    turn: object, conversation_id: str, session: int, number: int, time: datetime | None
) -> Outcome:
    fields = as_object(turn) or {}
    role, text = fields.get("role"), fields.get("content")
    if time is None:
        detail = f'haystack_dates[{session}] must read like "2023/05/20 (Sat) 02:21"'
        return Refused(turn, "bad_timestamp", detail)
    if not isinstance(role, str) or not isinstance(text, str):
        detail = f"a turn of haystack_sessions[{session}] has no role or no content: add it"
        return Refused(turn, "missing_field", detail)
    return Record(
        {
            "conversation_id": conversation_id,
            "session_id": f"{conversation_id}/s{session}",
            "message_id": f"{conversation_id}/{number}",
            "speaker": role,
            "role": role,
            "timestamp": time.isoformat(),
            "seq": number,
            "text": text,
        }
    )
