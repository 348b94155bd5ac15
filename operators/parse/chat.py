"""What chat-log formats have in common: parts of content, roles, times, ids."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from operators.parse.base import (
    AdapterOptions,
    Fields,
    Outcome,
    Record,
    Refused,
    Skipped,
    as_array,
    as_object,
    encode_json,
    image_note,
    join_text,
)
from operators.parse.timestamps import (
    TimestampError,
    epoch_timestamp,
    parse_timestamp,
    shown,
)
from schemas.ids import content_id
from schemas.message import MAX_ID_CHARS

_KEPT_ROLES = frozenset({"user", "assistant"})
_KNOWN_OTHER_ROLES = frozenset({"system", "developer", "tool", "function"})
TIME_KEYS = ("timestamp", "created_at", "created", "create_time")


@dataclass(frozen=True)
class Turn:
    """One turn of a chat log, decoded but not judged."""

    item: object
    role: object
    speaker: object
    content: object


def given_id(item: dict[str, object], keys: Sequence[str], turns: object) -> str:
    """The first non-empty id under `keys`, else a content hash of the turns.

    Without an id, equal conversations are one conversation, wherever they are found.
    """
    for key in keys:
        value = item.get(key)
        if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
            return str(value)
    return content_id("chat", encode_json(turns))


def refused_id(item: object, conversation_id: str) -> Refused | None:
    """The refusal of a whole conversation whose id is too long; None where it is not.

    Else each of its messages would be refused, each with a copy of the id.
    """
    if len(conversation_id) <= MAX_ID_CHARS:
        return None
    detail = f"the conversation's id is longer than {MAX_ID_CHARS} characters: shorten it"
    return Refused(item, "id_too_long", detail)


def given_time(item: dict[str, object]) -> datetime | None:
    """The time under one of `TIME_KEYS`: epoch seconds, or RFC 3339.

    Raises:
        TimestampError: there is a value, and it is no time.
    """
    for key in TIME_KEYS:
        value = item.get(key)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            detail = f"{key} is a {type(value).__name__}: give epoch seconds or RFC 3339"
            raise TimestampError("bad_timestamp", detail)
        return parse_timestamp(value if isinstance(value, str) else epoch_timestamp(value))
    return None


def content_text(content: object) -> str | None:
    """Text of a string, or of a list of typed parts; images become a note. None if neither."""
    if isinstance(content, str):
        return content
    parts = as_array(content)
    if parts is None:
        return None
    return join_text(*(_part_text(part) for part in parts))


def _part_text(part: object) -> str:
    if isinstance(part, str):
        return part
    fields = as_object(part) or {}
    text = fields.get("text")
    if isinstance(text, str):
        return text
    return image_note("image") if "image" in str(fields.get("type")) else ""


@dataclass(frozen=True)
class ChatLog:
    """The turns of one conversation, with what its messages take from it.

    Positions count every turn, so that filtering one never moves the id of another.
    """

    item: object
    conversation_id: str
    turns: Iterable[Turn]
    start: datetime | None
    options: AdapterOptions

    def outcomes(self) -> Iterator[Outcome]:
        """One outcome per turn; one in all where the conversation's id cannot be used."""
        if (refused := refused_id(self.item, self.conversation_id)) is not None:
            yield refused
            return
        for position, turn in enumerate(self.turns):
            yield self._outcome(turn, position)

    def _outcome(self, turn: Turn, position: int) -> Outcome:
        if not isinstance(turn.role, str):
            detail = f"turn {position} of {shown(self.conversation_id)} has no role: say who speaks"
            return Refused(turn.item, "missing_field", detail)
        if turn.role not in _KEPT_ROLES:
            return Skipped(f"role_{turn.role}" if turn.role in _KNOWN_OTHER_ROLES else "role_other")
        text = content_text(turn.content)
        if text is None and turn.content is not None:
            detail = (
                f"turn {position} of {shown(self.conversation_id)}: content is no text and no parts"
            )
            return Refused(turn.item, "wrong_type", detail)
        if not text or not text.strip():
            return Skipped("no_text")
        try:
            own_time = given_time(as_object(turn.item) or {})
        except TimestampError as error:
            detail = f"turn {position} of {shown(self.conversation_id)}: {error.detail}"
            return Refused(turn.item, error.reason, detail)
        time = self.options.time_of(position, self.start)
        fields: Fields = {
            "conversation_id": self.conversation_id,
            "message_id": f"{self.conversation_id}/{position}",
            "speaker": turn.speaker,
            "role": turn.role,
            "timestamp": own_time.isoformat() if own_time else time,
            "seq": position,
            "text": text,
        }
        return Record(fields)
