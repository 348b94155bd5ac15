"""Which keys a step must compute again, and the recorded rows of those it need not.

A stamp is the hash of a step's chained fingerprint (its own and that of everything
upstream) and of the messages of its key. Equal stamp, equal rows: they are taken from the
warehouse instead of being computed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from operators.base import Key
from schemas.ids import content_hash
from schemas.tables import TABLES
from transforms.frame import (
    SCOPE,
    Conversation,
    Frame,
    StampKey,
    keep_conversations,
    to_arrow,
    to_polars,
)
from transforms.step import Step, Write, writes_of

SHARED_TABLES = frozenset(name for name, table in TABLES.items() if "step" in table.schema.names)
"""Tables that several steps append to; their `step` column tells whose a row is."""


@dataclass(frozen=True)
class Keys:
    """Keys of one kind (sessions or conversations) and their stamps."""

    kind: Key
    stamps: Mapping[StampKey, str]

    @property
    def sessions(self) -> list[str]:
        """The session ids of the keys."""
        return [key for _, _, key, _ in self.stamps]

    @property
    def conversations(self) -> list[Conversation]:
        """The conversations of the keys."""
        return [(tenant, conversation) for tenant, conversation, _, _ in self.stamps]

    def rows(self, table: pa.Table) -> pa.Table:
        """Rows of these keys."""
        if self.kind is Key.SESSION:
            wanted = pa.array(self.sessions, pa.string())
            return table.filter(pc.is_in(table["session_id"], value_set=wanted))
        return keep_conversations(table, self.conversations)


def stamps_of(step: Step, frame: Frame) -> dict[StampKey, str]:
    """The stamp each key of the frame must have after this step.

    Columns that a later step overwrites are part of it: what is recorded of them is that step's
    word, which does not stand once the step is gone.
    """
    decided_by = (step.chained_fingerprint, *step.overwritten)
    if step.key is Key.SESSION:
        columns = [*SCOPE, "session_id", "content_hash"]
        rows = to_polars(frame.table("sessions").select(columns)).sort(columns)
        return {
            (tenant, conversation, session, step.id): _stamp(hashed, *decided_by)
            for tenant, conversation, session, hashed in rows.iter_rows()
        }
    return {
        (tenant, conversation, "", step.id): _stamp(hashed, *decided_by)
        for (tenant, conversation), hashed in sorted(frame.hashes.items())
    }


def split_keys(step: Step, frame: Frame) -> tuple[Keys, Keys]:
    """Keys to compute and keys whose recorded rows stand.

    Where a step failed on a key, its conversation has no stamp from there on (see
    `transforms.apply_step`), so everything downstream is computed again once it succeeds.
    """
    stamps = stamps_of(step, frame)
    clean = {key: stamp for key, stamp in stamps.items() if frame.stamps.get(key) == stamp}
    dirty = {key: stamp for key, stamp in stamps.items() if key not in clean}
    return Keys(step.key, dirty), Keys(step.key, clean)


def recorded_rows(step: Step, frame: Frame, keys: Keys) -> dict[str, pa.Table]:
    """What the step had written for `keys`, from the warehouse."""
    recorded: dict[str, pa.Table] = {}
    for write in writes_of(step):
        if write.enriches:
            recorded[write.table] = _recorded_columns(frame, keys, write)
        else:
            rows = keys.rows(frame.existing_table(write.table))
            recorded[write.table] = underived(_of_step(rows, write.table, step.id), write.table)
    return recorded


def underived(rows: pa.Table, table: str) -> pa.Table:
    """Rows as the step that made them left them: later steps' columns back at the initial value."""
    for index, column in enumerate(TABLES[table].columns):
        if column.derived:
            initial = pa.array([column.initial] * rows.num_rows, pa.string()).cast(column.type)
            rows = rows.set_column(index, rows.schema.field(index), initial)
    return rows


def _of_step(rows: pa.Table, table: str, step_id: str) -> pa.Table:
    if table not in SHARED_TABLES:
        return rows
    return rows.filter(pc.field("step") == step_id)


def _recorded_columns(frame: Frame, keys: Keys, write: Write) -> pa.Table:
    """The table as computed so far, with the enriched columns taken from the warehouse."""
    key = list(TABLES[write.table].key)
    current = to_polars(keys.rows(frame.table(write.table)))
    columns = list(write.columns)
    existing = to_polars(frame.existing_table(write.table)).select([*key, *columns])
    joined = current.drop(columns).join(existing, on=key, how="left", maintain_order="left")
    return to_arrow(joined, write.table)


def _stamp(messages: str, fingerprint: str, *overwritten: str) -> str:
    return content_hash("stamp", fingerprint, messages, *overwritten)


def merge_written(
    step: Step,
    frame: Frame,
    computed: Mapping[str, pa.Table],
    kept: Mapping[str, pa.Table],
    failed: Keys,
) -> dict[str, pa.Table]:
    """The step's tables after it: computed and kept rows, after those of other steps.

    Rows that it was to enrich, and failed on, stay as they were: another step has made them, and
    is not asked for them again.
    """
    merged: dict[str, pa.Table] = {}
    for write in writes_of(step):
        parts = [tables[write.table] for tables in (computed, kept) if write.table in tables]
        if write.enriches and failed.stamps:
            parts.append(failed.rows(frame.table(write.table)))
        if write.table in SHARED_TABLES:
            parts = [frame.table(write.table), *(_owned(part, step.id) for part in parts)]
        merged[write.table] = pa.concat_tables(parts)
    return merged


def _owned(rows: pa.Table, step_id: str) -> pa.Table:
    index = rows.schema.get_field_index("step")
    owner = pa.array([step_id] * rows.num_rows, pa.string())
    return rows.set_column(index, rows.schema.field(index), owner)
