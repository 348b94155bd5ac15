"""The input record: one message of a conversation, as the contract defines it."""

import json
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from schemas.ids import content_hash

DEFAULT_TENANT = "default"
MAX_TEXT_CHARS = 1_000_000
MAX_ID_CHARS = 512

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Identifier = Annotated[str, StringConstraints(min_length=1, max_length=MAX_ID_CHARS)]


class Message(BaseModel):
    """One message.

    Event order inside a conversation is (timestamp, seq, message_id). The same
    `message_id` with another content is a correction: the higher `revision` wins, then
    the larger `content_hash`, never the order of arrival.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, strict=False)

    conversation_id: Identifier
    message_id: Identifier
    speaker: Identifier
    timestamp: AwareDatetime
    text: str
    session_id: Identifier | None = None
    seq: int = Field(default=0, ge=-(2**63), lt=2**63)
    revision: int = Field(default=0, ge=0, lt=2**31)
    role: Identifier | None = None
    tenant: Identifier = DEFAULT_TENANT
    attachments: list[Any] | None = None
    metadata: dict[str, Any] | None = None

    def content_hash(self) -> str:
        """Hash of everything the message says, without its revision and its own id."""
        return message_content_hash(
            speaker=self.speaker,
            timestamp=self.timestamp,
            text=self.text,
            session_id=self.session_id,
            seq=self.seq,
            role=self.role,
            attachments=canonical_json(self.attachments),
            metadata=canonical_json(self.metadata),
        )


def canonical_json(value: object) -> str | None:
    """JSON with sorted keys and no spaces; None stays None."""
    if value is None:
        return None
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def message_content_hash(
    *,
    speaker: str,
    timestamp: datetime,
    text: str,
    session_id: str | None,
    seq: int,
    role: str | None,
    attachments: str | None,
    metadata: str | None,
) -> str:
    """Content hash of a message; the instant counts, not the zone it was written in."""
    micros = (timestamp - _EPOCH) // timedelta(microseconds=1)
    return content_hash(speaker, micros, text, session_id, seq, role, attachments, metadata)
