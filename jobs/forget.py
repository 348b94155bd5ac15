"""`memoryflow forget`: erasure, as if the messages had never been in the log.

1. Find the messages (all versions), those that came too late, and the refused input that
   names them.
2. Recompute the conversations they are in from the remaining messages (`Rebuild`, given).
3. One transaction: all rows of these conversations out, the recomputed rows in, refused
   input out, tombstones in. Before it the text is there whole, after it the memory is whole.
4. Physical erasure of what the transaction only hid. It may be repeated; one that was
   killed is completed by the next `forget` or `finish_pending_erasure`.

Tombstones are hashes; they let a reader of the log drop the messages if they come again.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import pyarrow as pa

from jobs.erasure_marks import line_mark
from jobs.forgotten_letters import (
    letters_naming,
    letters_of_conversations,
    too_late_messages,
    word_pattern,
    words_of,
)
from jobs.tenants import check_one_tenant
from schemas.tables import TABLES
from schemas.tombstones import dead_letter_tombstone, tombstone_id
from transforms.warehouse.commit import ChangeSet, commit, insert_new
from transforms.warehouse.connection import JOURNAL_DIR, Warehouse
from transforms.warehouse.erasure import (
    announce_erasure,
    erase_physically,
    finish_pending_erasure,
)
from transforms.warehouse.kv_files import kv_changes_unfinished
from transforms.warehouse.read import read_table
from transforms.warehouse.scope import (
    Conversation,
    conversation_table,
    conversations_of,
    literal,
)
from transforms.warehouse.staging import STAGING_DIR

_IDS = ["tenant", "conversation_id", "message_id"]
_GIVEN = "__forget_given"
TargetKind = Literal["message", "conversation", "person"]
# From the remaining message rows of some conversations to all rows of these, by table;
# `messages` may be left out. The warehouse still holds the old rows, e.g. recorded vectors.
Rebuild = Callable[[Warehouse, pa.Table], Mapping[str, pa.Table]]


@dataclass(frozen=True)
class Target:
    """What to forget: a message id, a conversation id or a person's name.

    A name counts as speaker or role, and as a whole word in text, attachments and metadata; ids
    (of message, conversation, session) are not searched for it. A message id counts in every
    conversation unless `conversation` says which. `tenant` narrows each kind; without it all
    must be of one tenant, unless `all_tenants` is set: ids and names of two tenants have nothing
    to do with each other.
    """

    kind: TargetKind
    value: str
    conversation: str | None = None
    tenant: str | None = None
    all_tenants: bool = False


@dataclass(frozen=True)
class ForgetReport:
    """What was forgotten, or with `dry_run` what would be.

    `messages` counts message ids, `rows` the rows of each table that go or are recomputed.
    `resumed`: an erasure that was cut off was completed. `leftovers`: nothing was found in
    memory, and what a killed run had left beside it went, whatever it held.
    """

    dry_run: bool
    messages: int
    conversations: int
    dead_letters: int
    rows: dict[str, int] = field(default_factory=dict)
    tombstones: int = 0
    resumed: bool = False
    leftovers: bool = False


@dataclass(frozen=True)
class _Plan:
    target: Target
    named: pa.Table  # tenant, conversation_id, message_id: distinct
    messages: pa.Table  # those of `named` that are in memory; the others came too late
    conversations: list[Conversation]
    dead_letter_ids: list[str]
    lines: list[bytes]  # raw bytes of the refused input that goes
    rebuilt_letters: list[str]  # what steps left on these conversations: told anew


def forget(
    warehouse: Warehouse, target: Target, rebuild: Rebuild, *, dry_run: bool = False
) -> ForgetReport:
    """Erase what `target` names; with `dry_run` only count, on a read-only warehouse if liked.

    Idempotent: a second call finds nothing, and completes a physical erasure that was cut
    off.

    Raises:
        UsageError: what is to be forgotten is of several tenants, and the target names none.
        WarehouseError: the files could not be scrubbed; the rows are gone then and the same
            call completes it.
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
        leftovers = _has_leftovers(warehouse)
        if leftovers:
            erase_physically(warehouse)
        return ForgetReport(False, 0, 0, 0, report.rows, 0, resumed, leftovers)
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


def _has_leftovers(warehouse: Warehouse) -> bool:
    """Whether a run that was killed before its commit may have left text that is in no table."""
    folder = warehouse.path
    staged = (folder / STAGING_DIR).exists()
    journal = any(file.is_file() for file in (folder / JOURNAL_DIR).rglob("*"))
    return staged or journal or kv_changes_unfinished(warehouse)


def _plan(warehouse: Warehouse, target: Target) -> _Plan:
    late = too_late_messages(warehouse)
    named = _named(warehouse, target, late)
    messages = _recorded(warehouse, named) if late.num_rows else named
    letters = late.join(named.cast(late.select(_IDS).schema), keys=_IDS, join_type="left semi")
    words = [target.value, *([] if target.conversation is None else [target.conversation])]
    lines = letters_naming(warehouse, words, target.tenant)
    dead = {*letters["dead_letter_id"].to_pylist(), *lines}
    if target.tenant is None and not target.all_tenants:
        _check_tenants(warehouse, target, named, dead)
    conversations = sorted(conversations_of(messages))
    rebuilt = letters_of_conversations(warehouse, set(conversations))
    return _Plan(
        target,
        named,
        messages,
        conversations,
        sorted(str(letter) for letter in dead - set(rebuilt)),
        sorted(set(lines.values())),
        rebuilt,
    )


def _check_tenants(
    warehouse: Warehouse, target: Target, named: pa.Table, dead: Collection[object]
) -> None:
    """UsageError if messages or refused input of several tenants would go."""
    columns = ["dead_letter_id", "tenant"]
    letters = read_table(warehouse, "dead_letters", columns).to_pylist() if dead else []
    tenants = {str(name) for name in named["tenant"].to_pylist()}
    tenants |= {row["tenant"] for row in letters if row["dead_letter_id"] in dead and row["tenant"]}
    fix = "give --tenant, or --all-tenants to erase it from all of them"
    check_one_tenant(tenants, f"{target.kind} {target.value!r}", fix)


def _named(warehouse: Warehouse, target: Target, late: pa.Table) -> pa.Table:
    """Ids of messages that the target means, in memory or too late for it."""
    condition = " AND ".join(f"({c})" for c in _conditions(target))
    spoken = f"{', '.join(_IDS)}, speaker, role, text, attachments, metadata"
    return _query_with(
        warehouse,
        late,
        f"SELECT DISTINCT {', '.join(_IDS)} FROM "
        f"(SELECT {spoken} FROM messages UNION ALL SELECT {spoken} FROM {_GIVEN}) "
        f"WHERE {condition}",
    )


def _recorded(warehouse: Warehouse, named: pa.Table) -> pa.Table:
    ids = ", ".join(_IDS)
    query = f"SELECT DISTINCT {ids} FROM messages SEMI JOIN {_GIVEN} USING ({ids})"
    return _query_with(warehouse, named, query)


def _query_with(warehouse: Warehouse, given: pa.Table, query: str) -> pa.Table:
    """A query that may name the table `given`."""
    warehouse.connection.register(_GIVEN, given)
    try:
        return warehouse.query(query)
    finally:
        warehouse.connection.unregister(_GIVEN)


def _conditions(target: Target) -> list[str]:
    conditions: list[str] = []
    if target.kind == "message":
        conditions.append(f"message_id = {literal(target.value)}")
    elif target.kind == "conversation":
        conditions.append(f"conversation_id = {literal(target.value)}")
    else:
        if not words_of(target.value):
            raise ValueError("an empty name cannot be forgotten")
        pattern = literal(word_pattern(target.value))
        parsed = ", ".join(_unescaped(column) for column in ("attachments", "metadata"))
        # The bar keeps two fields from making up one name: "Mary" who says "Ann is here".
        spoken = f"concat_ws(' | ', speaker, role, text, {parsed})"
        conditions.append(f"regexp_matches(nfc_normalize({spoken}), {pattern})")
    if target.conversation is not None:
        conditions.append(f"conversation_id = {literal(target.conversation)}")
    if target.tenant is not None:
        conditions.append(f"tenant = {literal(target.tenant)}")
    return conditions


def _unescaped(column: str) -> str:
    r"""SQL for canonical JSON as it reads: the `n` of `\nMary` is no letter before a name.

    A control character becomes a line break: words end at either. U+0001 stands for a backslash
    meanwhile, so that `\\n` is none; JSON itself holds it only as an escape.
    """
    held = f"replace({column}, '\\\\', chr(1))"
    controls = r"\\(?:[bfnrt]|u00[01][0-9a-f])"
    broken = f"regexp_replace({held}, {literal(controls)}, chr(10), 'g')"
    plain = f"replace(replace({broken}, '\\\"', '\"'), chr(1), '\\')"
    return f"CASE WHEN contains({column}, '\\') THEN {plain} ELSE {column} END"


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
    gone = [*plan.dead_letter_ids, *plan.rebuilt_letters]
    dead = ChangeSet(
        "dead_letters",
        deletes=pa.table({"dead_letter_id": pa.array(gone, pa.string())}),
        inserts=rebuilt.pop("dead_letters", None),
        keep_first=True,
    )
    if rebuilt:
        raise ValueError(f"rebuild returned tables it may not: {', '.join(sorted(rebuilt))}")
    return [*out, dead]


def _remaining(warehouse: Warehouse, plan: _Plan) -> pa.Table:
    """Messages of the affected conversations without the erased ones; session_id cleared."""
    rows = read_table(warehouse, "messages", conversations=plan.conversations)
    rows = rows.join(plan.messages.cast(rows.select(_IDS).schema), keys=_IDS, join_type="left anti")
    rows = rows.select(TABLES["messages"].schema.names).cast(TABLES["messages"].schema)
    index = rows.schema.get_field_index("session_id")
    return rows.set_column(
        index, rows.schema.field(index), pa.nulls(rows.num_rows, pa.string())
    ).sort_by([(name, "ascending") for name in _IDS])


def _tombstones(plan: _Plan) -> pa.Table:
    ids = [
        tombstone_id(row["tenant"], row["conversation_id"], row["message_id"])
        for row in plan.named.to_pylist()
    ]
    ids += [dead_letter_tombstone(dead) for dead in plan.dead_letter_ids]
    ids += sorted({mark for raw in plan.lines if (mark := line_mark(raw)) is not None})
    count = len(ids)
    return pa.table(
        {
            "tombstone_id": pa.array(ids, pa.string()),
            "reason": pa.array([plan.target.kind] * count, pa.string()),
            "erased_at": pa.array([datetime.now(UTC)] * count, pa.timestamp("us", tz="UTC")),
        }
    )
