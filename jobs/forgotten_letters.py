"""Which dead letters `forget` erases: those that name the target, in whatever bytes."""

import json
import re
import unicodedata
from collections.abc import Collection

import pyarrow as pa

from schemas.message import canonical_json
from transforms.apply_step import OPERATOR_ERROR
from transforms.call_ledger import MODEL_REASONS
from transforms.event_time.lateness import EVENT_TIME_STEP, TOO_LATE
from transforms.frame import Conversation
from transforms.warehouse.connection import Warehouse
from transforms.warehouse.read import read_table

_IS_TOO_LATE = f"step = '{EVENT_TIME_STEP}' AND reason = '{TOO_LATE}'"
_STEP_REASONS = ", ".join(f"'{reason}'" for reason in (OPERATOR_ERROR, *MODEL_REASONS))
_IS_OF_A_STEP = f"reason IN ({_STEP_REASONS})"
_LATE_COLUMNS = (
    *("tenant", "conversation_id", "message_id", "speaker", "text", "attachments", "metadata"),
    "dead_letter_id",
)


def too_late_messages(warehouse: Warehouse) -> pa.Table:
    """The messages that came too late, as columns of `messages`, with their dead letters."""
    columns = ["dead_letter_id", "raw"]
    rows = read_table(warehouse, "dead_letters", columns, where=_IS_TOO_LATE).to_pylist()
    messages = [{**json.loads(row["raw"]), "dead_letter_id": row["dead_letter_id"]} for row in rows]
    for message in messages:
        for name in ("attachments", "metadata"):
            message[name] = canonical_json(message.get(name))
    schema = pa.schema([pa.field(name, pa.string()) for name in _LATE_COLUMNS])
    return pa.Table.from_pylist(messages, schema=schema)


def letters_of_conversations(
    warehouse: Warehouse, conversations: Collection[Conversation]
) -> list[str]:
    """Ids of dead letters that steps left on these conversations: they are built again, sorted.

    Their raw bytes name the conversation, and may hold what a model made of its text.
    """
    columns = ["dead_letter_id", "raw"]
    rows = read_table(warehouse, "dead_letters", columns, where=_IS_OF_A_STEP)
    out: list[str] = []
    for row in rows.to_pylist():
        named = json.loads(row["raw"])
        if (named["tenant"], named["conversation_id"]) in conversations:
            out.append(row["dead_letter_id"])
    return sorted(out)


def letters_naming(warehouse: Warehouse, words: list[str], tenant: str | None) -> list[str]:
    """Ids of other dead letters that hold all of `words`, sorted.

    Few rows, of any encoding: looked at in Python. One whose tenant is not known counts. Those
    that steps left go with their conversation: what a model says may hold any word or number.
    """
    patterns = [_python_word(word) for word in words]
    columns = ["dead_letter_id", "raw", "detail", "tenant"]
    others = read_table(
        warehouse, "dead_letters", columns, where=f"NOT ({_IS_TOO_LATE}) AND NOT ({_IS_OF_A_STEP})"
    )
    out: list[str] = []
    for row in others.to_pylist():
        if tenant is not None and row["tenant"] not in (None, tenant):
            continue
        readings = [*_readings(row["raw"]), row["detail"]]
        if all(any(p.search(text) for text in readings) for p in patterns):
            out.append(row["dead_letter_id"])
    return sorted(out)


def _python_word(value: str) -> re.Pattern[str]:
    words = unicodedata.normalize("NFC", value).split() or [value]
    body = r"\s+".join(re.escape(word) for word in words)
    return re.compile(rf"(?<!\w){body}(?!\w)", re.IGNORECASE)


def _readings(raw: bytes) -> list[str]:
    """The text that broken bytes may stand for: encodings, JSON escapes undone."""
    encodings = ["utf-8", "latin-1"]
    if b"\0" in raw:
        encodings += ["utf-16-le", "utf-16-be"]
    texts = [unicodedata.normalize("NFC", raw.decode(e, "replace")) for e in encodings]
    return [*texts, *(_unescape(text) for text in texts if "\\" in text)]


_ESCAPE = re.compile(r'(?:\\u[0-9a-fA-F]{4})+|\\["\\/bfnrt]')


def _unescape(text: str) -> str:
    def plain(match: re.Match[str]) -> str:
        return str(json.loads(f'"{match.group()}"'))

    return unicodedata.normalize("NFC", _ESCAPE.sub(plain, text))
