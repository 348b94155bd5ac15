"""ChatGPT's data export: `conversations.json`, a tree of messages per conversation.

A regenerated or edited turn makes a branch; what the user saw last is the path from
`current_node` up through `parent`, and only that path becomes memory. Filtered: nodes off
the path, nodes without a message, hidden messages, system and tool messages, messages
without text. Ids are those of the export. A message without time takes that of the one
before it, the first that of the conversation. `seq` is the position on the path.
Dead letters: no `mapping`, a path that is broken or runs in a circle.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from operators.parse.base import (
    DEFAULT_OPTIONS,
    AdapterOptions,
    Outcome,
    Record,
    Refused,
    Skipped,
    as_array,
    as_object,
    image_note,
    join_text,
)
from operators.parse.chat import given_id, given_time, refused_id
from operators.parse.timestamps import TimestampError

_KEPT_ROLES = ("user", "assistant")
_KEPT_CONTENT = ("text", "multimodal_text")


@dataclass(frozen=True)
class ChatGPTExportAdapter:
    """Converts one exported conversation."""

    options: AdapterOptions = DEFAULT_OPTIONS

    def convert(self, item: object) -> Iterator[Outcome]:
        """One outcome per node of the tree."""
        conversation = as_object(item) or {}
        mapping = as_object(conversation.get("mapping"))
        if mapping is None:
            detail = 'no "mapping" object: is this conversations.json of a ChatGPT export?'
            yield Refused(item, "missing_field", detail)
            return
        path = _current_path(mapping, conversation.get("current_node"))
        if path is None:
            detail = "current_node leads to no root: the tree of messages is broken"
            yield Refused(item, "bad_value", detail)
            return
        conversation_id = given_id(conversation, ("conversation_id", "id"), path)
        if (refused := refused_id(item, conversation_id)) is not None:
            yield refused
            return
        for _ in range(len(mapping) - len(path)):
            yield Skipped("other_branch")
        yield from self._outcomes(conversation, conversation_id, path)

    def _outcomes(
        self,
        conversation: dict[str, object],
        conversation_id: str,
        path: list[dict[str, object]],
    ) -> Iterator[Outcome]:
        try:
            created = given_time({"create_time": conversation.get("create_time")})
        except TimestampError:
            created = None  # It only stands in for messages without a time of their own.
        time = self.options.time_of(0, created)
        for seq, node in enumerate(path):
            message = as_object(node.get("message"))
            if message is None:
                yield Skipped("no_message")
                continue
            try:
                own = given_time({"create_time": message.get("create_time")})
            except TimestampError as error:
                yield Refused(node, error.reason, error.detail)
                continue
            time = own.isoformat() if own else time
            yield _outcome(node, message, conversation_id, seq, time)


def _current_path(mapping: dict[str, object], current: object) -> list[dict[str, object]] | None:
    """The nodes from the root to `current`; None if the way up is broken."""
    path: list[dict[str, object]] = []
    while current is not None:
        node = as_object(mapping.get(current)) if isinstance(current, str) else None
        if node is None or len(path) == len(mapping):
            return None
        path.append(node)
        current = node.get("parent")
    path.reverse()
    return path or None


def _outcome(
    node: dict[str, object],
    message: dict[str, object],
    conversation_id: str,
    seq: int,
    time: str,
) -> Outcome:
    author = as_object(message.get("author")) or {}
    content = as_object(message.get("content")) or {}
    metadata = as_object(message.get("metadata")) or {}
    role = author.get("role")
    if metadata.get("is_visually_hidden_from_conversation") is True:
        return Skipped("hidden")
    if role not in _KEPT_ROLES:
        return Skipped("role_other")
    if content.get("content_type") not in _KEPT_CONTENT:
        return Skipped("content_other")
    text = join_text(*(_part_text(part) for part in as_array(content.get("parts")) or []))
    if not text:
        return Skipped("no_text")
    return Record(
        {
            "conversation_id": conversation_id,
            "message_id": message.get("id") or node.get("id"),
            "speaker": author.get("name") or role,
            "role": role,
            "timestamp": time,
            "seq": seq,
            "text": text,
        }
    )


def _part_text(part: object) -> str:
    if isinstance(part, str):
        return part
    fields = as_object(part) or {}
    text = fields.get("text")  # audio_transcription
    if isinstance(text, str):
        return text
    return image_note("image") if fields.get("content_type") == "image_asset_pointer" else ""
