"""Steps over whole conversations that wait until a session has closed.

A stream that builds a conversation anew with every message pays, message by message, for the
steps that look at all of it. With `streaming.consolidate: session_end` only the steps up to
the last one that works by session or text run at once: the facts are there and can be
searched. What the later steps had written stays as it is recorded, until the conversation is
built in full.

Only what adds to a conversation can wait. Where a row is gone, or says something else, that
rows of the later steps may rest on (a correction, two sessions that become one), the
conversation is built in full at once, so that no memory ever refers to what is not there.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from operators.base import Key, ModelAccess
from pipelines.in_process import run_in_process
from pipelines.recorded import CONTENT_TABLES
from schemas.tables import TABLES
from transforms.frame import (
    SCOPE,
    Conversation,
    Frame,
    keep_conversations,
    to_arrow,
    to_polars,
)
from transforms.reuse import SHARED_TABLES
from transforms.step import Step, table_of, tables_read, writes_of

# Columns that further messages of a session change, without making it another session or
# episode: what later steps wrote of it holds its id alone.
_GROWING = {
    "sessions": ("content_hash", "end_time", "message_count", "speakers", "last_message_id"),
    "episodes": ("title", "content", "keywords", "end_time", "source_message_ids"),
}


@dataclass(frozen=True)
class Built:
    """The frame after its steps, and the conversations whose later steps have been put off."""

    frame: Frame
    deferred: frozenset[Conversation] = frozenset()


def consolidation_start(steps: Sequence[Step]) -> int:
    """Index of the first step that can wait: behind the last that works by session or text.

    0 or `len(steps)` where nothing can be put off.
    """
    places = [place for place, step in enumerate(steps, 1) if step.key is not Key.CONVERSATION]
    return places[-1] if places else 0


def run_steps(
    steps: Sequence[Step], frame: Frame, models: ModelAccess, defer: Collection[Conversation] = ()
) -> Built:
    """All steps; of the conversations in `defer`, where it can be, only those that cannot wait."""
    wanted = frame.hashes.keys() & set(defer)
    now, later = _split(steps)
    if not wanted or not later:
        return Built(run_in_process(steps, frame, models) if frame.hashes else frame)
    half = run_in_process(now, frame, models)
    deferred = frozenset(wanted - _disturbed(half, now, later))
    rest = _part(half, half.hashes.keys() - deferred)
    if rest.hashes:
        rest = run_in_process(later, rest, models)
    waiting = _as_recorded(_part(half, deferred), now, later)
    counts = {"deferred": len(deferred), "in_full": len(wanted) - len(deferred)}
    return Built(_joined(half, rest, waiting, counts), deferred)


def _split(steps: Sequence[Step]) -> tuple[Sequence[Step], Sequence[Step]]:
    """Steps that run at once, and those that can wait (none, where it cannot be told apart)."""
    start = consolidation_start(steps)
    now, later = steps[:start], steps[start:]
    written = {name for step in now for name in step.writes if "." in name}
    # Recorded values of a column that both fill in are those of the later ones.
    if not now or any(name in written for step in later for name in step.writes):
        return steps, ()
    return now, later


def _part(frame: Frame, conversations: Iterable[Conversation]) -> Frame:
    """These conversations of a frame; dead letters and counters stay whole."""
    wanted = set(conversations)
    return replace(
        frame,
        tables={name: keep_conversations(rows, wanted) for name, rows in frame.tables.items()},
        existing={name: keep_conversations(rows, wanted) for name, rows in frame.existing.items()},
        hashes={c: hashed for c, hashed in frame.hashes.items() if c in wanted},
        new_stamps={key: stamp for key, stamp in frame.new_stamps.items() if key[:2] in wanted},
    )


def _joined(half: Frame, rest: Frame, waiting: Frame, counts: dict[str, int]) -> Frame:
    names = dict.fromkeys([*rest.tables, *waiting.tables])
    tables = {n: pa.concat_tables([rest.table(n), waiting.table(n)]) for n in names}
    return replace(
        half,
        tables=tables,
        new_stamps={**rest.new_stamps, **waiting.new_stamps},
        broken=rest.broken,  # With those of `half`, as the dead letters.
        dead_letters=rest.dead_letters,
        asked=rest.asked,
        counters={**rest.counters, "consolidation": counts},
    )


def _disturbed(half: Frame, now: Sequence[Step], later: Sequence[Step]) -> set[Conversation]:
    """Conversations in which a recorded row is gone, or changed, that later steps rest on."""
    read = {table for step in later for table in tables_read(step)}
    disturbed: set[Conversation] = set()
    for name in {"messages", *(read & _whole_tables(now))}:
        columns = _fixed_columns(name, later)
        old = _comparable(_recorded_of(half, name, now), columns)
        new = _comparable(half.table(name), columns)
        gone = old.join(new, on=[*SCOPE, "_content"], how="anti").select(SCOPE).unique()
        disturbed.update((str(t), str(c)) for t, c in gone.iter_rows())
    return disturbed


def _recorded_of(frame: Frame, name: str, steps: Sequence[Step]) -> pa.Table:
    """Recorded rows that `steps` have to bring forth again."""
    rows = frame.existing_table(name)
    if name == "messages":
        return rows.filter(rows["is_current"])
    return rows.filter(_made_by(steps)) if name in SHARED_TABLES else rows


def _fixed_columns(name: str, later: Sequence[Step]) -> list[str]:
    """Columns by which a row is the same row still, for what later steps made of it."""
    free = {*_filled_in(later).get(name, ()), "vector"}  # A vector follows from its key.
    free.update(_GROWING.get(name, ()))
    # The last cell of an open session grows, and gets another id; nobody else refers to it.
    if not any("cells" in tables_read(step) for step in later):
        free.add("cell_id")
    return [c for c in TABLES[name].content_columns if c not in free or c in TABLES[name].key]


def _comparable(rows: pa.Table, columns: Sequence[str]) -> pl.DataFrame:
    content = pl.struct(columns).struct.json_encode().alias("_content")
    return to_polars(rows).with_columns(content)


def _as_recorded(half: Frame, now: Sequence[Step], later: Sequence[Step]) -> Frame:
    """A frame after `now`, with what the later steps had written before."""
    tables = dict(half.tables)
    made = _whole_tables(now)
    for name in CONTENT_TABLES:
        if name in SHARED_TABLES:
            tables[name] = _with_others(half, name, now)
        elif name not in made and name != "messages":
            tables[name] = half.existing_table(name)
    for name, columns in _filled_in(later).items():
        if name in tables and name in {"messages", *made}:
            fixed = _fixed_columns(name, later)
            tables[name] = _with_values(half, name, columns, fixed)
    return half.with_tables(tables)


def _with_others(half: Frame, name: str, now: Sequence[Step]) -> pa.Table:
    """A shared table with the recorded rows of the steps that are not run now."""
    key = list(TABLES[name].key)
    computed = half.table(name)
    others = to_polars(half.existing_table(name).filter(~_made_by(now)))
    others = others.join(to_polars(computed.select(key)), on=key, how="anti")
    return pa.concat_tables([computed, to_arrow(others, name)])


def _with_values(half: Frame, name: str, columns: Sequence[str], fixed: Sequence[str]) -> pa.Table:
    """The table with recorded values in `columns`, in rows that are the same still."""
    new = _comparable(half.table(name), fixed)
    old = _comparable(half.existing_table(name), fixed).select(
        "_content", pl.lit(value=True).alias("_same"), pl.col(columns).name.prefix("_old_")
    )
    joined = new.join(old, on="_content", how="left", maintain_order="left")
    values = [pl.when("_same").then(f"_old_{c}").otherwise(c).alias(c) for c in columns]
    return to_arrow(joined.with_columns(values), name)


def _whole_tables(steps: Sequence[Step]) -> set[str]:
    return {w.table for step in steps for w in writes_of(step) if not w.enriches}


def _filled_in(steps: Sequence[Step]) -> dict[str, list[str]]:
    """Columns that steps fill in, by table."""
    filled: dict[str, list[str]] = {}
    for name in dict.fromkeys(name for step in steps for name in step.writes if "." in name):
        filled.setdefault(table_of(name), []).append(name.partition(".")[2])
    return filled


def _made_by(steps: Sequence[Step]) -> pc.Expression:
    return pc.field("step").isin([step.id for step in steps])
