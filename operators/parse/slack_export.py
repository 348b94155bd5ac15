"""Slack's workspace export: a folder per channel, a JSON array of messages per day.

https://slack.com/help/articles/220556107. Conversation: the channel (its id where
channels.json tells, else the folder's name). Message id: `ts`, which is also the time, to
the microsecond. Speakers: names from users.json. `revision`: second of the last edit, so
that an edit replaces what was said; `message_changed` events count as the message they
carry. `metadata` keeps the channel's name and `thread_ts`. Mentions become names, links and
escapes plain text; files stand in the text by name. Filtered: joins, topics and every other
subtype that is not somebody speaking; messages without text or files.
Dead letters: no `ts`, no author, an item that is no object.
"""

import html
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import orjson

from operators.parse.base import (
    FileContext,
    Outcome,
    Record,
    Refused,
    Skipped,
    as_array,
    as_object,
    join_text,
)
from operators.parse.timestamps import TimestampError, epoch_timestamp

COMPANIONS = ("users.json", "channels.json", "groups.json", "dms.json", "mpims.json")
_SPOKEN = (None, "bot_message", "file_share", "thread_broadcast", "me_message", "file_comment")
_MARKUP = re.compile(r"<([^<>]*)>")
_NameOf = Callable[[dict[str, object]], object]
_EDIT_SECOND = re.compile(r"(\d{1,10})(?:\.\d+)?", re.ASCII)


@dataclass(frozen=True)
class SlackExportAdapter:
    """Converts one message of one channel."""

    conversation_id: str
    channel: str
    users: Mapping[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def of_file(cls, context: FileContext) -> "SlackExportAdapter":
        """The adapter of a day file: channel from its folder, names from its companions."""
        channel = PurePosixPath(context.path).parent.name or "channel"
        channels = _names(context, COMPANIONS[1:], lambda entry: entry.get("name"))
        ids = {name: identifier for identifier, name in channels.items()}
        return cls(
            conversation_id=ids.get(channel, channel),
            channel=channel,
            users=_names(context, COMPANIONS[:1], _user_name),
        )

    def convert(self, item: object) -> Iterator[Outcome]:
        """The one outcome of a message."""
        yield self._outcome(item)

    def _outcome(self, item: object) -> Outcome:
        message = as_object(item)
        if message is None:
            detail = "not a JSON object: is this a day file of a Slack export?"
            return Refused(item, "not_an_object", detail)
        revision = 0
        if message.get("subtype") == "message_changed":
            inner = as_object(message.get("message"))
            if inner is None:
                return Refused(item, "missing_field", 'message_changed without "message"')
            revision, message = _second(message.get("ts")), inner
        if message.get("subtype") not in _SPOKEN:
            return Skipped("subtype")
        edited = as_object(message.get("edited"))
        revision = _second(edited.get("ts")) if edited else revision
        return self._record(item, message, revision)

    def _record(self, item: object, message: dict[str, object], revision: int) -> Outcome:
        ts, speaker = message.get("ts"), self._speaker(message)
        if not isinstance(ts, str):
            return Refused(item, "missing_field", 'no "ts": the message has no time and no id')
        if speaker is None:
            detail = 'no "user", "username" or "bot_id": the message has no author'
            return Refused(item, "missing_field", detail)
        try:
            time = epoch_timestamp(ts)
        except TimestampError as error:
            return Refused(item, error.reason, f"ts: {error.detail}")
        files = _file_names(message)
        body = message.get("text")
        text = self.plain_text(body) if isinstance(body, str) else ""
        text = join_text(text, *(f"[shares a file: {name}]" for name in files))
        if not text:
            return Skipped("no_text")
        metadata = {"channel": self.channel, "thread_ts": message.get("thread_ts")}
        return Record(
            {
                "conversation_id": self.conversation_id,
                "message_id": ts,
                "speaker": speaker,
                "role": "bot" if "bot_id" in message else None,
                "timestamp": time,
                "revision": revision,
                "text": text,
                "attachments": files or None,
                "metadata": {k: v for k, v in metadata.items() if v is not None},
            }
        )

    def _speaker(self, message: dict[str, object]) -> str | None:
        user = message.get("user")
        if isinstance(user, str) and user in self.users:
            return self.users[user]
        profile = as_object(message.get("user_profile")) or {}
        bot = as_object(message.get("bot_profile")) or {}
        for name in (
            profile.get("real_name"),
            message.get("username"),
            bot.get("name"),
            user,
            message.get("bot_id"),
        ):
            if isinstance(name, str) and name:
                return name
        return None

    def plain_text(self, text: str) -> str:
        """Slack's mrkdwn without its markup: names for ids, links and escapes resolved."""
        return html.unescape(_MARKUP.sub(self._plain_markup, text))

    def _plain_markup(self, match: re.Match[str]) -> str:
        target, _, label = match.group(1).partition("|")
        if target.startswith("@"):
            return "@" + (label or self.users.get(target[1:], target[1:]))
        if target.startswith("#"):
            return "#" + (label or target[1:])
        if target.startswith("!"):
            return label or "@" + target[1:].split("^")[0]
        target = target.removeprefix("mailto:")
        return f"{label} ({target})" if label and label != target else target


def _names(context: FileContext, files: tuple[str, ...], name_of: _NameOf) -> dict[str, str]:
    """Names by id from the companion files; a broken companion only costs the names."""
    names: dict[str, str] = {}
    for file in files:
        try:
            entries = as_array(orjson.loads(context.companions.get(file, b"[]"))) or []
        except orjson.JSONDecodeError:
            continue
        for entry in filter(None, map(as_object, entries)):
            identifier, name = entry.get("id"), name_of(entry)
            if isinstance(identifier, str) and isinstance(name, str) and name:
                names[identifier] = name
    return names


def _user_name(user: dict[str, object]) -> object:
    profile = as_object(user.get("profile")) or {}
    return (
        user.get("real_name")
        or profile.get("real_name")
        or profile.get("display_name")
        or user.get("name")
    )


def _file_names(message: dict[str, object]) -> list[str]:
    files = filter(None, map(as_object, as_array(message.get("files")) or []))
    names = (file.get("title") or file.get("name") for file in files)
    return [name for name in names if isinstance(name, str) and name]


def _second(ts: object) -> int:
    match = _EDIT_SECOND.fullmatch(ts) if isinstance(ts, str) else None
    return min(int(match.group(1)), 2**31 - 1) if match else 0
