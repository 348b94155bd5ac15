"""ShareGPT: a conversation an item, `{"id", "conversations": [{"from", "value"}, ...]}`.

The format of the ShareGPT dumps and of most instruction-tuning sets derived from them
(https://github.com/lm-sys/FastChat/blob/main/docs/commands/data_cleaning.md). `human` is
stored as user, `gpt`, `chatgpt`, `bing` and `bard` as assistant. The format has no times:
they are synthetic (`AdapterOptions`) unless an item carries one. Message ids:
`<conversation id>/<position>`. Filtered: system and tool turns, turns without text.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from operators.parse.base import (
    DEFAULT_OPTIONS,
    AdapterOptions,
    Outcome,
    Refused,
    as_array,
    as_object,
)
from operators.parse.chat import ChatLog, Turn, given_id, given_time
from operators.parse.timestamps import TimestampError

_ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "assistant": "assistant",
    "function_call": "tool",
    "observation": "tool",
    "tool": "tool",
    "system": "system",
}


@dataclass(frozen=True)
class ShareGPTAdapter:
    """Converts one shared conversation."""

    options: AdapterOptions = DEFAULT_OPTIONS

    def convert(self, item: object) -> Iterator[Outcome]:
        """One outcome per turn of the conversation."""
        conversation = as_object(item) or {}
        turns = as_array(conversation.get("conversations"))
        if turns is None:
            turns = as_array(conversation.get("items"))
        if turns is None:
            reason = "wrong_type" if "conversations" in conversation else "missing_field"
            detail = 'no "conversations" array: is this a ShareGPT export? See --format'
            yield Refused(item, reason, detail)
            return
        try:
            start = given_time(conversation)
        except TimestampError as error:
            yield Refused(item, error.reason, error.detail)
            return
        conversation_id = given_id(conversation, ("conversation_id", "id"), turns)
        decoded = map(_turn, turns)
        yield from ChatLog(item, conversation_id, decoded, start, self.options).outcomes()


def _turn(turn: object) -> Turn:
    fields = as_object(turn) or {}
    origin = fields.get("from")
    role = _ROLES.get(origin, origin) if isinstance(origin, str) else None
    return Turn(turn, role, role, fields.get("value"))
