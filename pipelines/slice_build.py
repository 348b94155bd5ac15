"""Builds the memory of some conversations: merge what came in, run the steps, compare."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import polars as pl
import pyarrow as pa

from operators.base import Models
from operators.versions import resolve_versions
from pipelines.in_process import run_in_process
from schemas.ids import content_hash, content_id
from schemas.tables import TABLES
from transforms.apply_step import failure_id
from transforms.diff import difference
from transforms.frame import (
    SCOPE,
    Conversation,
    Frame,
    StampKey,
    conversation_hashes,
    conversations_of,
    keep_conversations,
    to_arrow,
    to_polars,
)
from transforms.step import Step
from transforms.warehouse.commit import ChangeSet

WHOLE_PLAN = "*"
"""Step name of the stamp that says: all steps have succeeded on this conversation."""

CONTENT_TABLES = tuple(
    name for name, table in TABLES.items() if table.per_conversation and not table.bookkeeping
)


class RecordedRows(Protocol):
    """Read access to the warehouse as it was when the run began (or later)."""

    def read_table(
        self,
        name: str,
        columns: Sequence[str] | None = None,
        conversations: Sequence[Conversation] | None = None,
    ) -> pa.Table:
        """Rows of a table, of these conversations only."""
        ...


@dataclass(frozen=True)
class SliceResult:
    """What a slice changes, and the counts for the run report."""

    changes: tuple[ChangeSet, ...]
    counters: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])


def build_slice(
    incoming: pa.Table,
    conversations: Collection[Conversation],
    recorded: RecordedRows | None,
    steps: Sequence[Step],
    models: Models,
    tombstones: Collection[str] = frozenset(),
    open_failures: Collection[str] = frozenset(),
) -> SliceResult:
    """The change that brings the memory of some conversations up to date.

    Args:
        incoming: `messages` rows as read, any order, repeats allowed.
        conversations: further conversations to bring up to the plan without new messages.
        recorded: the warehouse; None when it is known to hold none of the conversations.
        steps: the plan's steps in order.
        models: where embeddings (and later LLM calls) come from.
        tombstones: ids of erased messages, which are not taken in again.
        open_failures: dead letters of operators that failed earlier; removed where they succeed.

    A pure function of the messages and the plan: the result does not depend on the order of
    `incoming`, nor on which conversations share the slice.
    """
    accepted = without_tombstones(incoming, tombstones)
    scope = sorted({*conversations_of(accepted), *conversations})
    old_messages = _recorded(recorded, "messages", scope)
    versions = resolve_versions(pa.concat_tables([_undated(old_messages), accepted]))
    current = versions.filter(versions["is_current"])
    hashes = conversation_hashes(current)
    stamps = _stamps(_recorded(recorded, "stamps", scope))
    dirty = _dirty(scope, hashes, stamps, steps)
    frame = _dirty_frame(current, hashes, stamps, dirty, recorded)
    done = run_in_process(steps, frame, models) if frame.hashes else frame
    counters = _read_counters(incoming, accepted, old_messages, versions)
    return SliceResult(
        _changes(done, dirty, versions, old_messages, steps, open_failures),
        {**counters, **{step: dict(counts) for step, counts in done.counters.items()}},
    )


def tombstone_id(tenant: str, conversation: str, message: str) -> str:
    """The hash that stands for an erased message."""
    return content_id("tombstone", tenant, conversation, message)


def without_tombstones(messages: pa.Table, tombstones: Collection[str]) -> pa.Table:
    """Messages that have not been erased."""
    if not tombstones:
        return messages
    columns = (messages[name].to_pylist() for name in (*SCOPE, "message_id"))
    keep = [tombstone_id(*ids) not in tombstones for ids in zip(*columns, strict=True)]
    return messages.filter(pa.array(keep, pa.bool_()))


def _recorded(
    recorded: RecordedRows | None, name: str, conversations: Sequence[Conversation]
) -> pa.Table:
    if recorded is None or not conversations:
        return TABLES[name].empty()
    return recorded.read_table(name, conversations=conversations)


def _undated(messages: pa.Table) -> pa.Table:
    """Recorded messages as they came in: the session is computed anew."""
    index = messages.schema.get_field_index("session_id")
    return messages.set_column(
        index, messages.schema.field(index), pa.nulls(messages.num_rows, pa.string())
    )


def _read_counters(
    incoming: pa.Table, accepted: pa.Table, old: pa.Table, versions: pa.Table
) -> dict[str, dict[str, int]]:
    """Conservation of messages: in = new + repeated + erased."""
    new = versions.num_rows - old.num_rows  # Versions are never dropped, only added.
    return {
        "messages": {
            "in": incoming.num_rows,
            "new": new,
            "repeated": accepted.num_rows - new,
            "erased": incoming.num_rows - accepted.num_rows,
        }
    }


def _stamps(rows: pa.Table) -> dict[StampKey, str]:
    columns = [rows[name].to_pylist() for name in (*SCOPE, "key", "step", "stamp")]
    return {(t, c, k, s): stamp for t, c, k, s, stamp in zip(*columns, strict=True)}


def _dirty(
    scope: Sequence[Conversation],
    hashes: Mapping[Conversation, str],
    stamps: Mapping[StampKey, str],
    steps: Sequence[Step],
) -> list[Conversation]:
    """Conversations that the plan, as it is, has not brought up to date as they are."""
    return [
        conversation
        for conversation in scope
        if conversation not in hashes
        or stamps.get((*conversation, "", WHOLE_PLAN)) != plan_stamp(steps, hashes[conversation])
    ]


def _dirty_frame(
    current: pa.Table,
    hashes: Mapping[Conversation, str],
    stamps: Mapping[StampKey, str],
    dirty: Sequence[Conversation],
    recorded: RecordedRows | None,
) -> Frame:
    known = {key[:2] for key in stamps}
    scope = [conversation for conversation in dirty if conversation in known]
    return Frame(
        tables={"messages": keep_conversations(current, dirty)},
        existing={name: _recorded(recorded, name, scope) for name in CONTENT_TABLES},
        stamps=stamps,
        hashes={c: hashed for c, hashed in hashes.items() if c in set(dirty)},
    )


def _changes(
    done: Frame,
    dirty: Sequence[Conversation],
    versions: pa.Table,
    old_messages: pa.Table,
    steps: Sequence[Step],
    open_failures: Collection[str],
) -> tuple[ChangeSet, ...]:
    messages = _with_sessions(versions, done.table("messages"), old_messages, dirty)
    changes = [difference("messages", old_messages, messages)]
    changes += [
        difference(name, done.existing_table(name), done.table(name))
        for name in CONTENT_TABLES
        if name != "messages"
    ]
    changes += [_stamp_changes(done, dirty, steps), _dead_letter_changes(done, open_failures)]
    return tuple(change for change in changes if not change.empty)


def _with_sessions(
    versions: pa.Table, computed: pa.Table, old: pa.Table, dirty: Sequence[Conversation]
) -> pa.Table:
    """All versions, the current ones with the session they are in."""
    key = list(TABLES["messages"].key)
    clean = [c for c in conversations_of(old) if c not in set(dirty)]
    dated = pa.concat_tables([computed, keep_conversations(old, clean)])
    sessions = to_polars(dated.select([*key, "session_id"]))
    rows = to_polars(versions).drop("session_id").join(sessions, on=key, how="left")
    current = pl.when("is_current").then("session_id").alias("session_id")
    return to_arrow(rows.with_columns(current), "messages")


def _stamp_changes(done: Frame, dirty: Sequence[Conversation], steps: Sequence[Step]) -> ChangeSet:
    old = {key: stamp for key, stamp in done.stamps.items() if key[:2] in set(dirty)}
    new = dict(done.new_stamps)
    for conversation, hashed in done.hashes.items():
        if conversation not in done.broken:
            new[*conversation, "", WHOLE_PLAN] = plan_stamp(steps, hashed)
    return difference("stamps", _stamp_rows(old), _stamp_rows(new))


def _stamp_rows(stamps: Mapping[StampKey, str]) -> pa.Table:
    rows = [(*key, stamp) for key, stamp in sorted(stamps.items())]
    schema = TABLES["stamps"].schema
    columns = [[row[index] for row in rows] for index in range(len(schema))]
    return pa.table([pa.array(column, pa.string()) for column in columns], schema=schema)


def _dead_letter_changes(done: Frame, open_failures: Collection[str]) -> ChangeSet:
    """Adds the keys that failed now; removes those that had failed and succeed now."""
    healed = [
        letter
        for tenant, conversation, key, step in sorted(done.new_stamps)
        if (letter := failure_id(step, tenant, conversation, key)) in open_failures
    ]
    return ChangeSet(
        "dead_letters",
        deletes=pa.table({"dead_letter_id": pa.array(healed, pa.string())}),
        inserts=pa.concat_tables([TABLES["dead_letters"].empty(), *done.dead_letters]),
        keep_first=True,
    )


def plan_stamp(steps: Sequence[Step], conversation_hash: str) -> str:
    """Stamp of a conversation that all `steps` have brought up to date."""
    chain = [part for step in steps for part in (step.id, step.chained_fingerprint)]
    return content_hash("plan", conversation_hash, *chain)
