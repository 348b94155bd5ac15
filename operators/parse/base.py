"""What a parser takes, gives back, and is.

A format is converted to dicts in the shape of the contract's JSONL; those take the same
validation as JSONL itself, so that there is one definition of a good message.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

import orjson
import pyarrow as pa
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from operators.parse.timestamps import EPOCH
from schemas.message import MAX_TEXT_CHARS

READ_STEP = "read"
MAX_LINE_BYTES = 16 * 1024 * 1024
MAX_RAW_BYTES = 64 * 1024
MAX_ITEM_MESSAGES = 200_000
"""Messages of one item of a document, a conversation as a rule; all its rows are held at once."""
Fields = dict[str, object]


@dataclass(frozen=True)
class ParseLimits:
    """Bounds on one line: characters of `text`, and bytes of the whole line."""

    max_text_chars: int = MAX_TEXT_CHARS
    max_line_bytes: int = MAX_LINE_BYTES


@dataclass(frozen=True)
class Parsed:
    """Rows of `messages` and of `dead_letters`, and what became of each input.

    `counters` holds `in`, `out`, `filtered`, `dead_letters` with
    in == out + filtered + dead_letters, and `filtered.<why>`, `dead_letters.<reason>`.
    Messages have no session yet, and stand as current without conflict until
    `operators.versions.resolve_versions` has seen all versions. A refused input that
    occurs twice is counted twice and kept once.
    """

    messages: pa.Table
    dead_letters: pa.Table
    counters: dict[str, int]


@dataclass(frozen=True)
class Record:
    """A message in the shape of the contract, not yet validated."""

    fields: Fields


@dataclass(frozen=True)
class Skipped:
    """Something that is no message by intention (a join notice, a system prompt)."""

    why: str


@dataclass(frozen=True)
class Refused:
    """Something that should be a message and cannot be: `item` is what came in."""

    item: object
    reason: str
    detail: str


Outcome = Record | Skipped | Refused


class Adapter(Protocol):
    """Converts one item of a foreign format (a conversation, or a message) to messages.

    Every message of the item gives exactly one outcome, in the item's own order. Pure: the
    outcomes depend on the item and the adapter's options, never on its place in the file.
    """

    def convert(self, item: object) -> Iterator[Outcome]:
        """The outcomes of `item`, any decoded JSON value; never raises on bad content."""
        ...


class AdapterOptions(BaseModel):
    """Options of formats that carry no times.

    Message number i of a conversation that gives no time gets
    `start_time + i * step_seconds`: a function of the conversation alone, so that adding
    or reordering files changes nothing. The default start, 1970, shows it is made up.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    start_time: AwareDatetime = EPOCH
    step_seconds: float = Field(default=1.0, ge=0, le=86_400)

    def time_of(self, position: int, start: datetime | None = None) -> str:
        """RFC 3339 time of the message at `position`, counted from `start` if it is known.

        Saturates at the last representable day instead of failing on absurd options.
        """
        try:
            moment = (start or self.start_time) + timedelta(seconds=self.step_seconds * position)
        except OverflowError:
            moment = start or self.start_time
        return moment.isoformat()


DEFAULT_OPTIONS = AdapterOptions()


@dataclass(frozen=True)
class FileContext:
    """What an adapter may know of the file: its path, and companions such as users.json."""

    path: str = ""
    companions: Mapping[str, bytes] = field(default_factory=dict[str, bytes])


def encode_json(value: object) -> bytes:
    """JSON with sorted keys, whatever the strings hold; equal values give equal bytes.

    Half a surrogate pair (also a byte that was not UTF-8) is written as an escape.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")


def as_object(value: object) -> dict[str, object] | None:
    """`value` if it is a JSON object."""
    return value if isinstance(value, dict) else None  # pyright: ignore[reportReturnType] JSON keys are str


def as_array(value: object) -> list[object] | None:
    """`value` if it is a JSON array."""
    return value if isinstance(value, list) else None


def image_note(caption: str) -> str:
    """How an image stands in the text of a message."""
    return f"[image: {caption}]"


def join_text(*pieces: str) -> str:
    """The pieces that say something, in order, a space between."""
    return " ".join(piece.strip() for piece in pieces if piece.strip())
