"""Builds the memory of some conversations: merge what came in, run the steps, compare."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from operators.base import ModelAccess
from operators.versions import resolve_versions
from pipelines.admission import healed_letters, kept_out, without_tombstones
from pipelines.deferral import run_steps
from pipelines.recorded import CONTENT_TABLES, RecordedRows, read_recorded, read_stamps
from pipelines.slice_changes import (
    WHOLE_PLAN,
    dead_letter_changes,
    memory_changes,
    plan_stamp,
    stamp_changes,
)
from schemas.tables import TABLES
from transforms.event_time.lateness import TooLate
from transforms.frame import (
    Conversation,
    Counters,
    Frame,
    StampKey,
    conversation_hashes,
    conversations_of,
    keep_conversations,
)
from transforms.step import Step
from transforms.warehouse.commit import ChangeSet


@dataclass(frozen=True)
class SliceResult:
    """What a slice changes, and the counts for the run report.

    Attributes:
        changes: to be committed together.
        counters: by step; `messages`, `event_time` and `consolidation` are not steps.
        deferred: conversations whose later steps have been put off.
    """

    changes: tuple[ChangeSet, ...]
    counters: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])
    deferred: frozenset[Conversation] = frozenset()


def build_slice(
    incoming: pa.Table,
    conversations: Collection[Conversation],
    recorded: RecordedRows | None,
    steps: Sequence[Step],
    models: ModelAccess,
    tombstones: Collection[str] = frozenset(),
    open_failures: Collection[str] = frozenset(),
    too_late: TooLate | None = None,
    defer: Collection[Conversation] = (),
) -> SliceResult:
    """The change that brings the memory of some conversations up to date.

    Args:
        incoming: `messages` rows as read, any order, repeats allowed.
        conversations: further conversations to bring up to the plan without new messages.
        recorded: the warehouse; None when it is known to hold none of the conversations.
        steps: the plan's steps in order.
        models: where embeddings (and later LLM calls) come from.
        tombstones: ids of erased messages, which are not taken in again.
        open_failures: dead letters of operators that failed, and of messages that came too
            late; removed where they succeed, or get in.
        too_late: messages to be kept out, unless they are known already.
        defer: conversations whose steps over the whole conversation may wait; see
            `pipelines.deferral`.

    A pure function of the messages and the plan: the result does not depend on the order of
    `incoming`, nor on which conversations share the slice.
    """
    accepted = without_tombstones(incoming, tombstones)
    scope = sorted({*conversations_of(accepted), *conversations})
    seen = _recorded_messages(recorded, scope, too_late)
    old_messages = keep_conversations(seen, scope)
    versions = resolve_versions(pa.concat_tables([_undated(old_messages), accepted]))
    current = versions.filter(versions["is_current"])
    hashes = conversation_hashes(current)
    stamps = read_stamps(recorded, scope)
    dirty = _dirty(scope, hashes, stamps, steps)
    known = set(conversations_of(old_messages))
    frame = Frame(
        tables={"messages": keep_conversations(current, dirty)},
        existing=_existing(recorded, [c for c in dirty if c in known]),
        stamps=stamps,
        hashes={c: hashed for c, hashed in hashes.items() if c in set(dirty)},
    )
    built = run_steps(steps, frame, models, defer)
    out, late_counters = _kept_out(too_late, pa.concat_tables([seen, accepted]), tombstones)
    let_in = healed_letters(accepted, open_failures)
    changes = (
        *memory_changes(built.frame, dirty, versions, old_messages),
        stamp_changes(built.frame, dirty, built.deferred, steps),
        dead_letter_changes(built.frame, open_failures, out, let_in),
    )
    return SliceResult(
        tuple(change for change in changes if not change.empty),
        _plain(
            _read_counters(incoming, accepted, old_messages, versions),
            late_counters,
            built.frame.counters,
        ),
        built.deferred,
    )


def _recorded_messages(
    recorded: RecordedRows | None, scope: Sequence[Conversation], too_late: TooLate | None
) -> pa.Table:
    """Messages of the scope, and of the conversations that only too late messages name."""
    late = [] if too_late is None else conversations_of(too_late.rows)
    return read_recorded(recorded, "messages", sorted({*scope, *late}))


def _kept_out(
    too_late: TooLate | None, known: pa.Table, tombstones: Collection[str]
) -> tuple[pa.Table, Counters]:
    if too_late is None:
        return TABLES["dead_letters"].empty(), {}
    return kept_out(too_late, known, tombstones)


def _undated(messages: pa.Table) -> pa.Table:
    """Recorded messages as they came in: the session is computed anew."""
    index = messages.schema.get_field_index("session_id")
    return messages.set_column(
        index, messages.schema.field(index), pa.nulls(messages.num_rows, pa.string())
    )


def _read_counters(
    incoming: pa.Table, accepted: pa.Table, old: pa.Table, versions: pa.Table
) -> Counters:
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


def _plain(*counters: Counters) -> dict[str, dict[str, int]]:
    return {step: dict(counts) for part in counters for step, counts in part.items()}


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


def _existing(
    recorded: RecordedRows | None, conversations: Sequence[Conversation]
) -> dict[str, pa.Table]:
    return {name: read_recorded(recorded, name, conversations) for name in CONTENT_TABLES}
