"""What makes two messages the same."""

from datetime import datetime, timedelta, timezone

import pytest
from pydantic import ValidationError

from schemas.message import Message

BASE = {
    "conversation_id": "c",
    "message_id": "m",
    "speaker": "Nora",
    "timestamp": "2025-05-01T10:00:00+02:00",
    "text": "Hello",
}


def test_the_instant_counts_not_its_zone():
    other = Message.model_validate(BASE | {"timestamp": "2025-05-01T08:00:00Z"})
    assert Message.model_validate(BASE).content_hash() == other.content_hash()


@pytest.mark.parametrize(
    "change",
    [
        {"text": "Hello "},
        {"speaker": "nora"},
        {"seq": 1},
        {"session_id": "s"},
        {"role": "user"},
        {"metadata": {"a": 1}},
        {"attachments": []},
        {"timestamp": "2025-05-01T10:00:00.000001+02:00"},
    ],
)
def test_whatever_is_said_is_in_the_hash(change):
    changed = Message.model_validate(BASE | change)
    assert changed.content_hash() != Message.model_validate(BASE).content_hash()


def test_the_revision_and_key_order_are_not():
    one = Message.model_validate(BASE | {"revision": 3, "metadata": {"a": 1, "b": 2}})
    two = Message.model_validate(BASE | {"metadata": {"b": 2, "a": 1}})
    assert one.content_hash() == two.content_hash()


def test_a_time_before_1970_and_far_zones():
    zone = timezone(timedelta(hours=-11))
    message = Message.model_validate(BASE | {"timestamp": datetime(1955, 1, 1, tzinfo=zone)})
    assert len(message.content_hash()) == 32


def test_a_time_without_zone_is_refused():
    with pytest.raises(ValidationError, match="timezone"):
        Message.model_validate(BASE | {"timestamp": "2025-05-01T10:00:00"})
