"""Which dead letters `forget` erases: those that name the target, in whatever bytes.

And what a name is, in refused input as in messages: `word_pattern`.
"""

import json
import re
import unicodedata
from collections.abc import Collection, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

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
    *("tenant", "conversation_id", "message_id", "speaker", "role", "text"),
    *("attachments", "metadata", "dead_letter_id"),
)
# Dead letters looked at at once: compiling a pattern takes as long as matching hundreds.
_CHUNK = 256
# What a word ends at. A vowel sign or an accent goes on with it, or Hindi names would be found
# in longer ones; the sign that makes a symbol before the word a coloured one does not.
_EDGE = r"[^\pL\pN\p{Mn}\p{Mc}_]|[\x{FE00}-\x{FE0F}]"
_GAP = r"[\s\pZ\p{Cc}\p{Cf}]+"
_GAP_CATEGORIES = ("Zs", "Zl", "Zp", "Cc", "Cf", "Cs")


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


def letters_naming(warehouse: Warehouse, words: list[str], tenant: str | None) -> dict[str, bytes]:
    """Raw bytes by id of other dead letters that hold all of `words`.

    Few rows, of any encoding: read in Python. One whose tenant is not known counts. Those
    that steps left go with their conversation: what a model says may hold any word or number.
    """
    patterns = [word_pattern(word) for word in words]
    columns = ["dead_letter_id", "raw", "detail", "tenant"]
    others = read_table(
        warehouse, "dead_letters", columns, where=f"NOT ({_IS_TOO_LATE}) AND NOT ({_IS_OF_A_STEP})"
    )
    rows = [row for row in others.to_pylist() if tenant is None or row["tenant"] in (None, tenant)]
    out: dict[str, bytes] = {}
    for start in range(0, len(rows), _CHUNK):
        chunk = rows[start : start + _CHUNK]
        for place in _places_naming(chunk, patterns):
            out[chunk[place]["dead_letter_id"]] = chunk[place]["raw"]
    return out


def word_pattern(value: str) -> str:
    r"""`value` as a whole word in any case, spaces taken loosely, for RE2 and text in NFC.

    The engine of DuckDB and of Arrow; its `\b` is ASCII only.

    Raises:
        ValueError: `value` is empty, and would be found everywhere.
    """
    if not value:
        raise ValueError("an empty name cannot be forgotten")
    words = words_of(value) or [value]
    return rf"(?i)(?:^|{_EDGE}){_GAP.join(re.escape(word) for word in words)}(?:$|{_EDGE})"


def words_of(name: str) -> list[str]:
    """The words of a name in NFC; line breaks and invisible characters part them as spaces do."""
    spaced = (" " if unicodedata.category(c) in _GAP_CATEGORIES else c for c in name)
    return unicodedata.normalize("NFC", "".join(spaced)).split()


def _places_naming(rows: Sequence[dict[str, Any]], patterns: Sequence[str]) -> list[int]:
    """Places of the rows with a match of each pattern in one reading or another, sorted."""
    readings = [[*_readings(row["raw"]), row["detail"]] for row in rows]
    owners = [place for place, texts in enumerate(readings) for _ in texts]
    texts = pa.array([text for each in readings for text in each], pa.large_string())
    named = set(owners)
    for pattern in patterns:
        found = pc.match_substring_regex(texts, pattern).to_pylist()
        named &= {owner for owner, match in zip(owners, found, strict=True) if match}
    return sorted(named)


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
        half_pairs_too = str(json.loads(f'"{match.group()}"'))
        return half_pairs_too.encode("utf-8", "replace").decode("utf-8")

    return unicodedata.normalize("NFC", _ESCAPE.sub(plain, text))
