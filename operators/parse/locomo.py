"""LoCoMo (Maharana et al. 2024, https://arxiv.org/abs/2402.17753): `locomo10.json`.

A sample is a conversation of two people over many sessions. Ids: conversation
`<sample_id>`, session `<sample_id>/session_1`, message `<sample_id>/D1:1`. All messages of
a session share its time (the data has no zone: UTC); `seq` counts through the sample.
An image stands in the text by its caption. Questions are not read.
Dead letters: no `sample_id` or `conversation`, a session time that cannot be read.
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
    image_note,
    join_text,
)
from operators.parse.chat import refused_id

_SESSION = re.compile(r"session_(\d{1,9})", re.ASCII)
# Not strptime: month names must not depend on the locale of the machine.
_TIME = re.compile(
    r"(\d{1,2}):(\d\d)\s*([ap])\.?m\.?\s+on\s+(\d{1,2})\s+([a-z]+),?\s+(\d{4})",
    re.ASCII | re.IGNORECASE,
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


@dataclass(frozen=True)
class LoCoMoAdapter:
    """Converts one sample."""

    options: AdapterOptions = DEFAULT_OPTIONS

    def convert(self, item: object) -> Iterator[Outcome]:
        """One outcome per turn of the sample."""
        sample = as_object(item) or {}
        conversation, sample_id = as_object(sample.get("conversation")), sample.get("sample_id")
        if conversation is None or not isinstance(sample_id, str):
            detail = 'no "sample_id" with a "conversation": is this a LoCoMo file? See --format'
            yield Refused(item, "missing_field", detail)
            return
        if (refused := refused_id(item, sample_id)) is not None:
            yield refused
            return
        seq = 0
        for name in _session_names(conversation):
            time = session_time(conversation.get(f"{name}_date_time"))
            for turn in as_array(conversation[name]) or []:
                yield _outcome(turn, sample_id, name, time, seq)
                seq += 1


def session_time(text: object) -> datetime | None:
    """The UTC time that e.g. '1:56 pm on 8 May, 2023' says; None if it is no such text."""
    match = _TIME.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        return None
    hour, minute, half, day, month, year = match.groups()
    try:
        month_number = _MONTHS.index(month[:3].lower()) + 1
        hour_number = int(hour) % 12 + (12 if half.lower() == "p" else 0)
        return datetime(int(year), month_number, int(day), hour_number, int(minute), tzinfo=UTC)
    except ValueError:
        return None


def _session_names(conversation: dict[str, object]) -> list[str]:
    names = [name for name in conversation if _SESSION.fullmatch(name)]
    return sorted(names, key=lambda name: (int(name.removeprefix("session_")), name))


def _outcome(
    turn: object, sample_id: str, session: str, time: datetime | None, seq: int
) -> Outcome:
    fields = as_object(turn) or {}
    dia_id, text, caption = fields.get("dia_id"), fields.get("text"), fields.get("blip_caption")
    if time is None:
        detail = f'{session}_date_time must read like "1:56 pm on 8 May, 2023"'
        return Refused(turn, "bad_timestamp", detail)
    if not isinstance(dia_id, str) or not isinstance(text, str):
        detail = f"a turn of {session} has no text or no dia_id: add it"
        return Refused(turn, "missing_field", detail)
    image = image_note(caption) if isinstance(caption, str) and caption else ""
    return Record(
        {
            "conversation_id": sample_id,
            "session_id": f"{sample_id}/{session}",
            "message_id": f"{sample_id}/{dia_id}",
            "speaker": fields.get("speaker"),
            "role": "user",
            "timestamp": time.isoformat(),
            "seq": seq,
            "text": join_text(text, image) if image else text,
        }
    )
