"""From a built frame to change sets: memory, stamps and dead letters."""

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence

import polars as pl
import pyarrow as pa

from pipelines.recorded import CONTENT_TABLES
from schemas.ids import content_hash
from schemas.tables import TABLES
from transforms.apply_step import failure_id
from transforms.call_ledger import model_letter_id
from transforms.diff import difference
from transforms.frame import (
    Conversation,
    Frame,
    StampKey,
    conversations_of,
    keep_conversations,
    to_arrow,
    to_polars,
)
from transforms.step import Step
from transforms.warehouse.commit import ChangeSet

WHOLE_PLAN = "*"
"""Step name of the stamp that says: all steps have succeeded on this conversation."""

DEFERRED = "deferred"
"""In place of that stamp: the later steps were put off, and have to be made up for."""


def plan_stamp(steps: Sequence[Step], conversation_hash: str) -> str:
    """Stamp of a conversation that all `steps` have brought up to date."""
    chain = [part for step in steps for part in (step.id, step.chained_fingerprint)]
    return content_hash("plan", conversation_hash, *chain)


def memory_changes(
    done: Frame, dirty: Collection[Conversation], versions: pa.Table, old_messages: pa.Table
) -> list[ChangeSet]:
    """What changes in the content tables.

    Args:
        done: the dirty conversations after their steps.
        dirty: conversations that were built.
        versions: all versions of all messages, those of clean conversations too.
        old_messages: `messages` as recorded.
    """
    messages = _with_sessions(versions, done.table("messages"), old_messages, dirty)
    return [
        difference("messages", old_messages, messages),
        *(
            difference(name, done.existing_table(name), done.table(name))
            for name in CONTENT_TABLES
            if name != "messages"
        ),
    ]


def _with_sessions(
    versions: pa.Table, computed: pa.Table, old: pa.Table, dirty: Collection[Conversation]
) -> pa.Table:
    """All versions, the current ones with the session they are in."""
    key = list(TABLES["messages"].key)
    clean = [c for c in conversations_of(old) if c not in set(dirty)]
    dated = pa.concat_tables([computed, keep_conversations(old, clean)])
    sessions = to_polars(dated.select([*key, "session_id"]))
    rows = to_polars(versions).drop("session_id").join(sessions, on=key, how="left")
    current = pl.when("is_current").then("session_id").alias("session_id")
    return to_arrow(rows.with_columns(current), "messages")


def stamp_changes(
    done: Frame,
    dirty: Collection[Conversation],
    deferred: Collection[Conversation],
    steps: Sequence[Step],
) -> ChangeSet:
    """Stamps of what was built; no step that failed or was put off has one of its own."""
    built = set(dirty)
    old = {key: stamp for key, stamp in done.stamps.items() if key[:2] in built}
    new = dict(done.new_stamps)
    for conversation, hashed in done.hashes.items():
        if conversation in deferred:
            new[*conversation, "", WHOLE_PLAN] = DEFERRED
        elif conversation not in done.broken:
            new[*conversation, "", WHOLE_PLAN] = plan_stamp(steps, hashed)
    return difference("stamps", _stamp_rows(old), _stamp_rows(new))


def _stamp_rows(stamps: Mapping[StampKey, str]) -> pa.Table:
    rows = [(*key, stamp) for key, stamp in sorted(stamps.items())]
    schema = TABLES["stamps"].schema
    columns = [[row[index] for row in rows] for index in range(len(schema))]
    return pa.table([pa.array(column, pa.string()) for column in columns], schema=schema)


def dead_letter_changes(
    done: Frame, open_failures: Collection[str], kept_out: pa.Table, let_in: Sequence[str]
) -> ChangeSet:
    """Adds what failed or is kept out now; removes what had been and is not any more.

    What a model answered to a key that was computed is told anew: those letters are replaced.

    Args:
        done: with the keys that failed, and the stamps of those that did not.
        open_failures: ids of the dead letters there are.
        kept_out: dead letters of messages that came too late.
        let_in: ids of such dead letters whose message is in now.
    """
    # Those that fail again are told anew; sessions that are no more are among the asked.
    stamped = {(step, *key) for *key, step in done.new_stamps}
    healed = [
        letter
        for key in sorted(stamped | done.asked)
        if (letter := failure_id(*key)) in open_failures
    ]
    outdated = [letter for key in sorted(done.asked) for letter in _letters_of(key, open_failures)]
    gone = [*healed, *outdated, *let_in]
    return ChangeSet(
        "dead_letters",
        deletes=pa.table({"dead_letter_id": pa.array(gone, pa.string())}),
        inserts=pa.concat_tables([kept_out, *done.dead_letters]),
        keep_first=True,
    )


def _letters_of(key: tuple[str, str, str, str], open_failures: Collection[str]) -> Iterator[str]:
    """Dead letters of the answers to a key; they are numbered without gaps."""
    for number in itertools.count():
        letter = model_letter_id(*key, number)
        if letter not in open_failures:
            return
        yield letter
