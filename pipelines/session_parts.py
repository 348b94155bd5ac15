"""A long conversation in parts: its sessions, built by several workers before the whole of it.

Steps that work by session or text need not see a conversation whole. Where one conversation
holds a good share of all messages, its sessions are cut into parts of about equal size, each
part is built up to the last of the plan's leading steps of that kind, and the rows and stamps
are handed to the build of the whole conversation (`pipelines.handed_parts`), which takes them
as it takes recorded ones. So no operator knows of it, a part that is lost or out of date is
computed again, and memory is what it would be without.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import orjson
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from operators.base import Cost, Key, ModelAccess
from pipelines.in_process import run_in_process
from pipelines.part_sizes import PartSizes
from schemas.tables import TABLES
from transforms.frame import (
    SCOPE,
    Conversation,
    Counters,
    Frame,
    StampKey,
    keep_conversations,
    to_polars,
)
from transforms.reuse import split_keys
from transforms.step import Step, writes_of

_FOUND = frozenset({"messages", "sessions"})
"""Tables that say which sessions there are: a part is cut by them, it may not change them."""


@dataclass(frozen=True)
class SplitSteps:
    """Where a plan can be cut.

    Attributes:
        lead: first steps, over whole conversations: they find the sessions.
        inner: the steps behind them that a part of the sessions is enough for.
    """

    lead: tuple[Step, ...]
    inner: tuple[Step, ...]

    @property
    def written(self) -> list[str]:
        """Tables that the inner steps write, in order."""
        return list(dict.fromkeys(w.table for step in self.inner for w in writes_of(step)))

    @property
    def reused(self) -> list[str]:
        """Tables whose recorded rows either may reuse."""
        lead = (w.table for step in self.lead for w in writes_of(step))
        return list(dict.fromkeys([*lead, *self.written]))


@dataclass(frozen=True)
class SessionPart:
    """Some sessions of one conversation, up to the step that finds them.

    Attributes:
        frame: their messages and sessions, with what is recorded of them.
        messages: how many they are.
        chars: characters of their texts.
    """

    frame: Frame
    messages: int
    chars: int


@dataclass(frozen=True)
class SessionParts:
    """The parts of some conversations.

    Attributes:
        parts: cut in event order.
        shared: recorded rows that any part may reuse: of texts, and of calls.
    """

    parts: tuple[SessionPart, ...] = ()
    shared: Mapping[str, pa.Table] = field(default_factory=dict[str, pa.Table])


@dataclass(frozen=True)
class PartRows:
    """What a part came to, for the build of its conversation.

    Attributes:
        tables: rows of the inner steps.
        stamps: of the sessions that these have brought up to date.
        dead_letters: answers that could not be used, of those sessions.
        asked: (step, tenant, conversation, session) of those that were computed.
        counters: of the steps that have brought them up to date.
    """

    tables: Mapping[str, pa.Table]
    stamps: Mapping[StampKey, str]
    dead_letters: pa.Table
    asked: frozenset[tuple[str, str, str, str]]
    counters: Counters


def split_steps(steps: Sequence[Step]) -> SplitSteps | None:
    """Where the steps can be cut; None for a plan in which nothing would be gained."""
    by_conversation = [step.key is Key.CONVERSATION for step in steps]
    first = by_conversation.index(False) if False in by_conversation else len(steps)
    lead = tuple(steps[:first])
    inner: list[Step] = []
    filled: set[str] = set()
    for step in steps[first:]:
        columns = {name for name in step.writes if "." in name}
        # Of a column that two steps fill in, only the later one's values would be handed over.
        if step.key is Key.CONVERSATION or filled & columns or _finds_sessions(step):
            break
        filled |= columns
        inner.append(step)
    cheap = all(step.operator.cost() is Cost.NONE for step in lead)
    if not cheap or not any(step.key is Key.SESSION for step in inner):
        return None
    return SplitSteps(lead, tuple(inner))


def _finds_sessions(step: Step) -> bool:
    return not _FOUND.isdisjoint(write.table for write in writes_of(step))


def cut_sessions(
    steps: SplitSteps, frame: Frame, models: ModelAccess, sizes: PartSizes
) -> SessionParts:
    """Parts of the conversations of `frame`; none where cutting does not pay.

    A function of the frame and the sizes; the lead steps run once, over whole conversations.
    """
    found = run_in_process(steps.lead, frame, models) if steps.lead else frame
    dirty = _dirty_sessions(steps, found)
    messages = to_polars(found.table("messages").select([*SCOPE, "session_id", "text"]))
    measured = (
        messages.filter(pl.col("session_id").is_in(dirty))
        .group_by(*SCOPE, "session_id")
        .agg(pl.len().alias("messages"), pl.col("text").str.len_chars().sum().alias("chars"))
        .join(
            to_polars(found.table("sessions").select(["session_id", "start_time"])),
            on="session_id",
        )
        .sort(*SCOPE, "start_time", "session_id")
    )
    parts: list[SessionPart] = []
    for _, sessions in measured.group_by(SCOPE, maintain_order=True):
        if int(sessions["messages"].sum()) > sizes.split_messages:
            parts += _cut(steps, found, sessions, sizes)
    shared = {name: _shared(found, name) for name in shared_names(steps)} if parts else {}
    return SessionParts(tuple(parts), shared)


def _dirty_sessions(steps: SplitSteps, frame: Frame) -> list[str]:
    """Sessions on which a step has to be run."""
    dirty = {
        session
        for step in steps.inner
        if step.key is Key.SESSION
        for session in split_keys(step, frame)[0].sessions
    }
    return sorted(dirty)


def _cut(
    steps: SplitSteps, frame: Frame, sessions: pl.DataFrame, sizes: PartSizes
) -> list[SessionPart]:
    """Parts of about equal size; `sessions` are those of one conversation, in order."""
    cut = _runs(sessions, sizes)
    if len(cut) < 2:
        return []
    scope: Conversation = (str(sessions["tenant"][0]), str(sessions["conversation_id"][0]))
    return [
        SessionPart(
            _of_sessions(steps, frame, scope, run["session_id"].to_list()),
            int(run["messages"].sum()),
            int(run["chars"].sum()),
        )
        for run in cut
    ]


def _runs(sessions: pl.DataFrame, sizes: PartSizes) -> list[pl.DataFrame]:
    """Consecutive sessions, about as many characters in each run."""
    # Polars counts in 32 bits, which characters times parts of some megabytes of text exceed.
    chars = sessions["chars"].cast(pl.Int64)
    total = max(1, int(chars.sum()))
    count = sizes.count(total)
    # A session goes where its middle lies.
    middle = 2 * (chars.cum_sum() - chars) + chars
    place = (middle * count // (2 * total)).clip(0, count - 1).alias("place")
    return [run for _, run in sessions.group_by(place, maintain_order=True)]


def _of_sessions(
    steps: SplitSteps, frame: Frame, conversation: Conversation, sessions: Collection[str]
) -> Frame:
    """The frame of some sessions of a conversation, with what is recorded of these sessions."""
    wanted = set(sessions)
    shared = shared_names(steps)
    inner = {step.id for step in steps.inner}
    return Frame(
        tables={n: _rows(rows, conversation, wanted) for n, rows in frame.tables.items()},
        existing={
            name: _rows(frame.existing_table(name), conversation, wanted)
            for name in steps.written
            if name not in shared
        },
        stamps={
            key: stamp
            for key, stamp in frame.stamps.items()
            if key[:2] == conversation and key[2] in wanted and key[3] in inner
        },
        hashes={conversation: frame.hashes[conversation]},
    )


def _rows(table: pa.Table, conversation: Conversation, sessions: Collection[str]) -> pa.Table:
    if "session_id" not in table.schema.names:
        return keep_conversations(table, [conversation])
    wanted = pa.array(sorted(sessions), pa.string())
    return table.filter(pc.is_in(table["session_id"], value_set=wanted))


def shared_names(steps: SplitSteps) -> set[str]:
    """Tables of which a part may need rows of other sessions: of texts, and of calls."""
    by_text = (step for step in steps.inner if step.key is Key.TEXT)
    return {"artifacts", *(write.table for step in by_text for write in writes_of(step))}


def _shared(frame: Frame, name: str) -> pa.Table:
    rows = frame.existing_table(name)
    # Of the artifacts only answers are read again; a vector's stands in another table.
    return rows.filter(rows["output"].is_valid()) if name == "artifacts" else rows


def build_part(
    steps: SplitSteps, part: SessionPart, shared: Mapping[str, pa.Table], models: ModelAccess
) -> PartRows:
    """Run the inner steps over a part.

    A session on which a step fails is not stamped, nor are the others of its part from there
    on: the build of the conversation runs the step on them and says what failed. Calls that
    were answered are handed over in any case.

    Raises:
        ModelUnavailableError: a model could not be reached.
    """
    frame = replace(part.frame, existing={**part.frame.existing, **shared})
    done = run_in_process(steps.inner, frame, models)
    by_session = {step.id for step in steps.inner if step.key is Key.SESSION}
    stamps = {key: stamp for key, stamp in done.new_stamps.items() if key[3] in by_session}
    stamped = {(step, tenant, conversation, key) for tenant, conversation, key, step in stamps}
    return PartRows(
        {name: _new_rows(name, done, shared.get(name)) for name in steps.written},
        stamps,
        _letters_of(done.dead_letters, stamped),
        done.asked & stamped,
        {step: counts for step, counts in done.counters.items() if step in {k[0] for k in stamped}},
    )


def _new_rows(name: str, done: Frame, shared: pa.Table | None) -> pa.Table:
    """Rows to hand over: those recorded for all parts are there anyway."""
    rows = done.table(name)
    if name == "artifacts":
        # Where a step failed, what it had asked about the other sessions stands here as well.
        own = pa.array(["", *done.table("sessions")["session_id"].to_pylist()], pa.string())
        rows = rows.filter(pc.is_in(rows["session_id"], value_set=own))
        return rows.filter(rows["output"].is_valid())
    return rows if shared is None else without_keys(name, rows, shared)


def without_keys(name: str, rows: pa.Table, others: pa.Table) -> pa.Table:
    """Rows whose primary key is not among `others`."""
    key = list(TABLES[name].key)
    numbered = to_polars(rows.select(key)).with_row_index("row")
    known = to_polars(others.select(key))
    return rows.take(numbered.join(known, on=key, how="anti").get_column("row").sort().to_arrow())


def first_by_key(name: str, rows: pa.Table) -> pa.Table:
    """The first row of each primary key."""
    key = list(TABLES[name].key)
    numbered = to_polars(rows.select(key)).with_row_index("row")
    first = numbered.unique(key, keep="first").get_column("row").sort()
    return rows.take(first.to_arrow())


def _letters_of(
    letters: Sequence[pa.Table], stamped: Collection[tuple[str, str, str, str]]
) -> pa.Table:
    """Those of keys that are handed over; the others are told by the build that computes them."""
    rows = pa.concat_tables([TABLES["dead_letters"].empty(), *letters])
    return rows.filter(pa.array([key in stamped for key in letter_keys(rows)], pa.bool_()))


def letter_keys(letters: pa.Table) -> list[tuple[str, str, str, str]]:
    """(step, tenant, conversation, session) that each dead letter of a step is about."""
    raws = [orjson.loads(row["raw"]) for row in letters.select(["raw"]).to_pylist()]
    return [
        (str(step), about["tenant"], about["conversation_id"], about["key"])
        for step, about in zip(letters["step"].to_pylist(), raws, strict=True)
    ]
