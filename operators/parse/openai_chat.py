"""OpenAI chat logs: a conversation an item, `{"messages": [{"role", "content"}, ...]}`.

https://platform.openai.com/docs/api-reference/chat/create#chat-create-messages, which is
also the fine-tuning format. Conversation id: `conversation_id` or `id`, else a hash of the
messages. Message ids: `<conversation id>/<position>`. Times: `created`, `created_at` or
`timestamp` of the message, else of the conversation plus `step_seconds` a position, else
synthetic (`AdapterOptions`). Filtered: system, developer, tool and function messages, and
messages without text (tool calls). Dead letters: no `messages`, no role, odd content.
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


@dataclass(frozen=True)
class OpenAIChatAdapter:
    """Converts one logged conversation."""

    options: AdapterOptions = DEFAULT_OPTIONS

    def convert(self, item: object) -> Iterator[Outcome]:
        """One outcome per message of the conversation."""
        conversation = as_object(item) or {}
        messages = as_array(conversation.get("messages"))
        if messages is None:
            reason = "wrong_type" if "messages" in conversation else "missing_field"
            detail = 'no "messages" array: is this an OpenAI chat log? See --format'
            yield Refused(item, reason, detail)
            return
        try:
            start = given_time(conversation)
        except TimestampError as error:
            yield Refused(item, error.reason, error.detail)
            return
        conversation_id = given_id(conversation, ("conversation_id", "id"), messages)
        turns = map(_turn, messages)
        yield from ChatLog(item, conversation_id, turns, start, self.options).outcomes()


def _turn(message: object) -> Turn:
    fields = as_object(message) or {}
    role = fields.get("role")
    return Turn(message, role, fields.get("name") or role, fields.get("content"))
