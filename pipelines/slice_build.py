"""Builds the memory of some conversations: merge what came in, run the steps, compare."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from operators.base import ModelAccess
from operators.versions import resolve_versions
from pipelines.admission import healed_letters, kept_out, without_tombstones
from pipelines.deferral import run_steps
from pipelines.handed_parts import Handed, taken_back, with_handed
from pipelines.part_sizes import PartSizes
from pipelines.recorded import CONTENT_TABLES, RecordedRows, read_recorded, read_stamps
from pipelines.session_parts import (
    PartRows,
    SessionParts,
    cut_sessions,
    split_steps,
)
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
    SCOPE,
    Conversation,
    Counters,
    Frame,
    StampKey,
    conversation_hashes,
    conversations_of,
    keep_conversations,
)
from transforms.step import Step
from transforms.step_time import MILLISECONDS, SLICES, milliseconds_since
from transforms.warehouse.commit import ChangeSet


@dataclass(frozen=True)
class SliceResult:
    """What a slice changes, and the counts for the run report.

    Attributes:
        changes: to be committed together.
        counters: by step; `messages`, `event_time`, `consolidation` and `slices` are no steps.
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
    parts: Sequence[PartRows] = (),
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
        parts: what session parts of these conversations came to (`cut_slice`, then
            `pipelines.session_parts.build_part`), in any order, all or some; not together
            with `defer`, which compares with what is recorded.

    A pure function of the messages and the plan: the result does not depend on the order of
    `incoming`, nor on which conversations share the slice, nor on `parts`.
    """
    start = time.perf_counter()
    begun = _begin(incoming, conversations, recorded, steps, tombstones, too_late)
    built_before = [c for c in begun.dirty if c in begun.known]
    frame = replace(begun.frame, existing=_existing(recorded, built_before))
    handed = Handed.of(steps, parts)
    built = run_steps(steps, with_handed(frame, handed), models, defer)
    done = taken_back(built.frame, frame, handed)
    accepted, old_messages = begun.accepted, begun.old_messages
    seen = pa.concat_tables([begun.seen, accepted])
    out, late_counters = _kept_out(too_late, seen, tombstones)
    let_in = healed_letters(accepted, open_failures)
    changes = (
        *memory_changes(done, begun.dirty, begun.versions, old_messages),
        stamp_changes(done, begun.dirty, built.deferred, steps),
        dead_letter_changes(done, open_failures, out, let_in),
    )
    return SliceResult(
        tuple(change for change in changes if not change.empty),
        _plain(
            _read_counters(incoming, accepted, old_messages, begun.versions),
            late_counters,
            done.counters,
            {SLICES: {MILLISECONDS: milliseconds_since(start)}},
        ),
        built.deferred,
    )


def cut_slice(
    incoming: pa.Table,
    conversations: Collection[Conversation],
    recorded: RecordedRows | None,
    steps: Sequence[Step],
    models: ModelAccess,
    sizes: PartSizes,
    tombstones: Collection[str] = frozenset(),
) -> SessionParts:
    """The long conversations of a slice in parts, to be built before `build_slice` of it.

    Args as of `build_slice`. Cheap: versions are resolved and sessions found, no more.
    """
    split = split_steps(steps)
    if split is None:
        return SessionParts()
    begun = _begin(incoming, conversations, recorded, steps, tombstones, None)
    counts = begun.frame.table("messages").group_by(list(SCOPE)).aggregate([([], "count_all")])
    columns = [counts[name].to_pylist() for name in (*SCOPE, "count_all")]
    long = [(t, c) for t, c, count in zip(*columns, strict=True) if count > sizes.split_messages]
    if not long:
        return SessionParts()
    known = sorted(begun.known & set(long))
    frame = replace(
        begun.frame,
        tables={"messages": keep_conversations(begun.frame.table("messages"), long)},
        existing={name: read_recorded(recorded, name, known) for name in split.reused},
        hashes={c: begun.frame.hashes[c] for c in long},
    )
    return cut_sessions(split, frame, models, sizes)


@dataclass(frozen=True)
class _Begun:
    """A slice before its steps.

    Attributes:
        accepted: incoming messages that are not erased.
        seen: recorded messages, those of conversations that only too late messages name too.
        old_messages: recorded messages of the conversations of the slice.
        versions: old and new messages, resolved.
        known: conversations of which something is recorded.
        dirty: conversations to be built.
        frame: of the dirty conversations, without what is recorded of them but the stamps.
    """

    accepted: pa.Table
    seen: pa.Table
    old_messages: pa.Table
    versions: pa.Table
    known: frozenset[Conversation]
    dirty: list[Conversation]
    frame: Frame


def _begin(
    incoming: pa.Table,
    conversations: Collection[Conversation],
    recorded: RecordedRows | None,
    steps: Sequence[Step],
    tombstones: Collection[str],
    too_late: TooLate | None,
) -> _Begun:
    """Merge what came in with what is recorded, and find what differs."""
    accepted = without_tombstones(incoming, tombstones)
    scope = sorted({*conversations_of(accepted), *conversations})
    seen = _recorded_messages(recorded, scope, too_late)
    old_messages = keep_conversations(seen, scope)
    versions = resolve_versions(pa.concat_tables([_undated(old_messages), accepted]))
    current = versions.filter(versions["is_current"])
    hashes = conversation_hashes(current)
    stamps = read_stamps(recorded, scope)
    dirty = _dirty(scope, hashes, stamps, steps)
    frame = Frame(
        tables={"messages": keep_conversations(current, dirty)},
        existing={},
        stamps=stamps,
        hashes={c: hashed for c, hashed in hashes.items() if c in set(dirty)},
    )
    known = frozenset(conversations_of(old_messages))
    return _Begun(accepted, seen, old_messages, versions, known, dirty, frame)


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
