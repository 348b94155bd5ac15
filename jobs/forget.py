"""`memoryflow forget`: erasure, as if the messages had never been in the log.

1. Find the messages (all versions) and the refused input that names them.
2. Recompute the conversations they are in from the remaining messages (`Rebuild`, given).
3. One transaction: all rows of these conversations out, the recomputed rows in, refused
   input out, tombstones in. Before it the text is there whole, after it the memory is whole.
4. Physical erasure of what the transaction only hid. It may be repeated; one that was
   killed is completed by the next `forget` or `finish_pending_erasure`.

Tombstones are hashes; they let a reader of the log drop the messages if they come again.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import pyarrow as pa

from jobs.erasure_marks import dead_letter_tombstone
from pipelines.slice_build import tombstone_id
from schemas.tables import TABLES
from transforms.warehouse.commit import ChangeSet, commit, insert_new
from transforms.warehouse.connection import Warehouse
from transforms.warehouse.erasure import (
    announce_erasure,
    erase_physically,
    finish_pending_erasure,
)
from transforms.warehouse.read import read_table
from transforms.warehouse.scope import (
    Conversation,
    conversation_table,
    conversations_of,
    literal,
)

TargetKind = Literal["message", "conversation", "person"]
# From the remaining message rows of some conversations to all rows of these, by table;
# `messages` may be left out. The warehouse still holds the old rows, e.g. recorded vectors.
Rebuild = Callable[[Warehouse, pa.Table], Mapping[str, pa.Table]]


@dataclass(frozen=True)
class Target:
    """What to forget: a message id, a conversation id or a person's name.

    A message id counts in every conversation unless `conversation` says which. `tenant`
    narrows each kind.
    """

    kind: TargetKind
    value: str
    conversation: str | None = None
    tenant: str | None = None


@dataclass(frozen=True)
class ForgetReport:
    """What was forgotten, or with `dry_run` what would be.

    `messages` counts message ids, `rows` the rows of each table that go or are recomputed.
    """

    dry_run: bool
    messages: int
    conversations: int
    dead_letters: int
    rows: dict[str, int] = field(default_factory=dict)
    tombstones: int = 0
    resumed: bool = False


@dataclass(frozen=True)
class _Plan:
    target: Target
    messages: pa.Table  # tenant, conversation_id, message_id: distinct
    conversations: list[Conversation]
    dead_letter_ids: list[str]


def forget(
    warehouse: Warehouse, target: Target, rebuild: Rebuild, *, dry_run: bool = False
) -> ForgetReport:
    """Erase what `target` names; with `dry_run` only count, on a read-only warehouse if liked.

    Idempotent: a second call finds nothing, and completes a physical erasure that was cut
    off. Raises WarehouseError where the files could not be scrubbed; the rows are gone then
    and the same call completes it.
    """
    plan = _plan(warehouse, target)
    report = ForgetReport(
        dry_run=dry_run,
        messages=plan.messages.num_rows,
        conversations=len(plan.conversations),
        dead_letters=len(plan.dead_letter_ids),
        rows=_affected_rows(warehouse, plan),
    )
    if dry_run:
        return report
    warehouse.require_writable()
    if not plan.messages.num_rows and not plan.dead_letter_ids:
        resumed = finish_pending_erasure(warehouse)
        return ForgetReport(False, 0, 0, 0, report.rows, 0, resumed)
    tombstones = _tombstones(plan)
    changes = _changes(warehouse, plan, rebuild)
    announce_erasure(warehouse)
    commit(warehouse, changes, [insert_new("tombstones", tombstones)])
    erase_physically(warehouse)
    return ForgetReport(
        False,
        report.messages,
        report.conversations,
        report.dead_letters,
        report.rows,
        tombstones.num_rows,
    )


def _plan(warehouse: Warehouse, target: Target) -> _Plan:
    condition = " AND ".join(f"({c})" for c in _conditions(target))
    found = warehouse.query(
        f"SELECT DISTINCT tenant, conversation_id, message_id FROM messages WHERE {condition}"
    )
    dead = _dead_letters(warehouse, target)
    return _Plan(target, found, sorted(conversations_of(found)), dead)


def _conditions(target: Target) -> list[str]:
    conditions: list[str] = []
    if target.kind == "message":
        conditions.append(f"message_id = {literal(target.value)}")
    elif target.kind == "conversation":
        conditions.append(f"conversation_id = {literal(target.value)}")
    else:
        pattern = literal(_word_pattern(target.value))
        spoken = "concat_ws(chr(10), speaker, text, attachments, metadata)"
        conditions.append(f"regexp_matches(nfc_normalize({spoken}), {pattern})")
    if target.conversation is not None:
        conditions.append(f"conversation_id = {literal(target.conversation)}")
    if target.tenant is not None:
        conditions.append(f"tenant = {literal(target.tenant)}")
    return conditions


def _word_pattern(name: str) -> str:
    """`name` as a whole word in any case, spaces taken loosely; RE2 (its \\b is ASCII only)."""
    words = unicodedata.normalize("NFC", name).split()
    if not words:
        raise ValueError("an empty name cannot be forgotten")
    body = r"\s+".join(re.escape(word) for word in words)
    return rf"(?i)(?:^|[^\pL\pN_]){body}(?:$|[^\pL\pN_])"


def _dead_letters(warehouse: Warehouse, target: Target) -> list[str]:
    """Refused input that names the target. Few rows, of any encoding: looked at in Python."""
    patterns = [_python_word(target.value)]
    if target.conversation is not None:
        patterns.append(_python_word(target.conversation))
    columns = ["dead_letter_id", "raw", "detail", "tenant"]
    out: list[str] = []
    for row in read_table(warehouse, "dead_letters", columns).to_pylist():
        if target.tenant is not None and row["tenant"] not in (None, target.tenant):
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


def _affected_rows(warehouse: Warehouse, plan: _Plan) -> dict[str, int]:
    rows: dict[str, int] = {"dead_letters": len(plan.dead_letter_ids)}
    for name, table in TABLES.items():
        if table.per_conversation and plan.conversations:
            part = read_table(warehouse, name, ["tenant"], plan.conversations)
            rows[name] = part.num_rows
    return {name: rows[name] for name in TABLES if rows.get(name)}


def _changes(warehouse: Warehouse, plan: _Plan, rebuild: Rebuild) -> list[ChangeSet]:
    """Whole conversations out, recomputed rows in."""
    remaining = _remaining(warehouse, plan)
    rebuilt: dict[str, pa.Table] = {}
    if remaining.num_rows:
        rebuilt = {"messages": remaining, **rebuild(warehouse, remaining)}
    scope = conversation_table(plan.conversations)
    out = [
        ChangeSet(name, deletes=scope, inserts=rebuilt.pop(name, None))
        for name, table in TABLES.items()
        if table.per_conversation
    ]
    dead = ChangeSet(
        "dead_letters",
        deletes=pa.table({"dead_letter_id": pa.array(plan.dead_letter_ids, pa.string())}),
        inserts=rebuilt.pop("dead_letters", None),
        keep_first=True,
    )
    if rebuilt:
        raise ValueError(f"rebuild returned tables it may not: {', '.join(sorted(rebuilt))}")
    return [*out, dead]


def _remaining(warehouse: Warehouse, plan: _Plan) -> pa.Table:
    """Messages of the affected conversations without the erased ones; session_id cleared."""
    rows = read_table(warehouse, "messages", conversations=plan.conversations)
    key = ["tenant", "conversation_id", "message_id"]
    rows = rows.join(plan.messages.cast(rows.select(key).schema), keys=key, join_type="left anti")
    rows = rows.select(TABLES["messages"].schema.names).cast(TABLES["messages"].schema)
    index = rows.schema.get_field_index("session_id")
    return rows.set_column(
        index, rows.schema.field(index), pa.nulls(rows.num_rows, pa.string())
    ).sort_by([(name, "ascending") for name in key])


def _tombstones(plan: _Plan) -> pa.Table:
    ids = [
        tombstone_id(row["tenant"], row["conversation_id"], row["message_id"])
        for row in plan.messages.to_pylist()
    ]
    ids += [dead_letter_tombstone(dead) for dead in plan.dead_letter_ids]
    count = len(ids)
    return pa.table(
        {
            "tombstone_id": pa.array(ids, pa.string()),
            "reason": pa.array([plan.target.kind] * count, pa.string()),
            "erased_at": pa.array([datetime.now(UTC)] * count, pa.timestamp("us", tz="UTC")),
        }
    )
