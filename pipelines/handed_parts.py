"""Hands the rows of session parts to the build of their conversation, and takes them back.

Before the steps run, the rows and stamps of the parts stand among the recorded ones, so that
the reuse machinery (`transforms.reuse`) takes them. Afterwards the frame says again what is
recorded in truth: the difference to it is what has to be written.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from operators.base import Key
from pipelines.session_parts import (
    PartRows,
    SplitSteps,
    first_by_key,
    letter_keys,
    shared_names,
    split_steps,
    without_keys,
)
from transforms.call_ledger import with_kept
from transforms.frame import Conversation, Frame, StampKey
from transforms.reuse import SHARED_TABLES
from transforms.step import Step, writes_of

_EMBEDDED, _REUSED = "embedded", "reused"


@dataclass(frozen=True)
class Handed:
    """What the parts of some conversations came to, together; nothing by default."""

    steps: SplitSteps | None = None
    tables: Mapping[str, pa.Table] = field(default_factory=dict[str, pa.Table])
    stamps: Mapping[StampKey, str] = field(default_factory=dict[StampKey, str])
    dead_letters: Sequence[pa.Table] = ()
    asked: frozenset[tuple[str, str, str, str]] = frozenset()
    counters: Mapping[str, Mapping[str, int]] = field(default_factory=dict[str, Mapping[str, int]])

    @classmethod
    def of(cls, steps: Sequence[Step], parts: Sequence[PartRows]) -> "Handed":
        """All parts as one; their order does not matter."""
        split = split_steps(steps)
        if not parts or split is None:
            return cls()
        counters: dict[str, Counter[str]] = {step.id: Counter() for step in split.inner}
        for part in parts:
            for step, counts in part.counters.items():
                counters[step].update(counts)
        return cls(
            split,
            {name: pa.concat_tables([p.tables[name] for p in parts]) for name in split.written},
            {key: stamp for part in parts for key, stamp in part.stamps.items()},
            [part.dead_letters for part in parts],
            frozenset[tuple[str, str, str, str]]().union(*(part.asked for part in parts)),
            counters,
        )


def with_handed(frame: Frame, handed: Handed) -> Frame:
    """The frame with the rows and stamps of the parts, as if they had been recorded."""
    if handed.steps is None:
        return frame
    existing = {
        name: _overlaid(frame.existing_table(name), name, handed) for name in handed.steps.written
    }
    return replace(
        frame,
        existing={**frame.existing, **existing},
        stamps={**frame.stamps, **handed.stamps},
    )


def _overlaid(recorded: pa.Table, name: str, handed: Handed) -> pa.Table:
    """Recorded rows, those of sessions that are handed over replaced."""
    assert handed.steps is not None
    rows = handed.tables[name]
    old, new = recorded, rows.slice(0, 0)
    for step in _writers(handed.steps, name, Key.SESSION):
        old = old.filter(pc.invert(_made_for(old, name, step.id, handed.stamps)))
        mine = rows.filter(_made_for(rows, name, step.id, handed.stamps))
        new = pa.concat_tables([new, without_keys(name, mine, new)])
    known = pa.concat_tables([old, new])
    if name not in shared_names(handed.steps):
        return known
    # Vectors, and answers to sessions on which a step failed: what is paid for is kept.
    spare = without_keys(name, rows, known)
    return pa.concat_tables([known, first_by_key(name, spare)])


def _writers(steps: SplitSteps, name: str, key: Key) -> list[Step]:
    return [s for s in steps.inner if s.key is key and name in {w.table for w in writes_of(s)}]


def _made_for(
    rows: pa.Table, name: str, step: str, stamps: Mapping[StampKey, str]
) -> "pa.ChunkedArray[Any]":
    """Which rows a step made for sessions that have its stamp."""
    sessions = pa.array([key[2] for key in stamps if key[3] == step], pa.string())
    made: Any = pc.is_in(rows["session_id"], value_set=sessions)
    own: Any = made if name not in SHARED_TABLES else pc.is_in(rows["step"], value_set=_only(step))
    both: Any = pc.and_(made, own)
    return both


def _only(name: str) -> "pa.Array[Any]":
    return pa.array([name], pa.string())


def taken_back(done: Frame, frame: Frame, handed: Handed) -> Frame:
    """`done`, with what is recorded in truth, and what the parts have to report.

    Args:
        done: after the steps.
        frame: as it was before `with_handed`.
        handed: what the steps were given.
    """
    if handed.steps is None:
        return done
    tables = dict(done.tables)
    for step in handed.steps.inner:
        if step.operator.llm_parts():
            # As `apply_step`, by the rows that were recorded before the parts replaced them.
            broken = _broken(step, done, handed)
            recorded = frame.existing_table("artifacts")
            tables["artifacts"] = with_kept(tables["artifacts"], recorded, step.id, broken)
    letters = [_unasked(table, done) for table in handed.dead_letters]
    return replace(
        done,
        tables=tables,
        existing=frame.existing,
        stamps=frame.stamps,
        dead_letters=(*done.dead_letters, *letters),
        asked=done.asked | handed.asked,
        counters={
            **done.counters,
            **{step.id: _counted(step, done, handed) for step in handed.steps.inner},
        },
    )


def _broken(step: Step, done: Frame, handed: Handed) -> set[Conversation]:
    """Conversations of the parts in which this step, or one before it, has failed."""
    stamped = {key[:2] for key in done.new_stamps if key[3] == step.id}
    return {key[:2] for key in handed.stamps} - stamped


def _unasked(letters: pa.Table, done: Frame) -> pa.Table:
    """Letters of keys that were not computed once more, and so have not been told."""
    kept = [key not in done.asked for key in letter_keys(letters)]
    return letters.filter(pa.array(kept, pa.bool_()))


def _counted(step: Step, done: Frame, handed: Handed) -> dict[str, int]:
    """Counts of a step over the parts and the whole, each key once."""
    counts = Counter(done.counters[step.id])
    if step.key is Key.SESSION:
        taken = [key for key in handed.stamps if key[3] == step.id]
        counts.update(handed.counters[step.id])
        counts["kept"] -= sum((step.id, *key[:3]) not in done.asked for key in taken)
    elif _EMBEDDED in counts:
        # Texts are seen again by the whole: all of them, the vectors of the parts reused.
        names = [write.table for write in writes_of(step) if write.table not in SHARED_TABLES]
        made = sum(first_by_key(name, handed.tables[name]).num_rows for name in names)
        counts[_EMBEDDED] += made
        counts[_REUSED] -= made
    return dict(counts)
