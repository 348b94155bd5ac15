"""Logs to build: parts of a dev set, and one long conversation made of several."""

import gzip
import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.llm.tokens import TokenCounter

Message = dict[str, Any]

_PAUSE = timedelta(days=1)


def messages_of(path: Path, conversation: str | None = None) -> list[Message]:
    """The messages of a log (`.jsonl` or `.jsonl.gz`), or those of one conversation."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
        messages: list[Message] = [json.loads(line) for line in lines]
    return [m for m in messages if conversation in (None, m["conversation_id"])]


def written(path: Path, messages: Iterable[Message]) -> Path:
    """A log with these messages; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(message) + "\n" for message in messages))
    return path


def one_conversation(messages: Sequence[Message], count: int) -> list[Message]:
    """The first `count` messages as one conversation: each one starts a day after the last ended.

    Times within a conversation, sessions and people stay. Ids get its name.

    Raises:
        ValueError: there are fewer messages.
    """
    if len(messages) < count:
        raise ValueError(f"{len(messages)} messages cannot make a conversation of {count}")
    out: list[Message] = []
    for name, group in groupby(messages, key=lambda message: message["conversation_id"]):
        own = list(group)
        shift = timedelta(0)
        if out:
            shift = _time(out[-1]) + _PAUSE - min(map(_time, own))
        out += [_moved(m, str(name), shift, len(out) + at) for at, m in enumerate(own)]
    return out[:count]


def _moved(message: Message, name: str, shift: timedelta, seq: int) -> Message:
    return message | {
        "conversation_id": "joined",
        "session_id": f"{name}:{message['session_id']}",
        "message_id": f"{name}:{message['message_id']}",
        "timestamp": (_time(message) + shift).isoformat(),
        "seq": seq,
    }


def _time(message: Message) -> datetime:
    return datetime.fromisoformat(message["timestamp"])


def text_tokens(messages: Iterable[Message]) -> int:
    """Tokens of the messages' texts, counted as the simulator counts prompts."""
    counter = TokenCounter()
    return sum(counter.count(message["text"]) for message in messages)
