"""A late message in the gap between two committed sessions: they become one, and the rows that
have no part in it are not written again."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipelines.plan import Plan
from schemas.message import Message
from tests.jobs.builds import rows_at
from tests.jobs.stream.here import append, batch_here, digest_at, quick_plan, stream_here
from transforms.warehouse.connection import LAKE, open_warehouse

pytestmark = pytest.mark.slow  # Ten whole streams.

START = datetime(2025, 3, 3, 9, tzinfo=UTC)
MEMORY = ("messages", "sessions", "cells", "facts", "entities", "mentions", "links")
MODES = pytest.mark.parametrize(
    "mode",
    [{"early": "0.02s"}, {"early": "null", "consolidate": "session_end"}],
    ids=["every pane", "closed sessions"],
)

Row = tuple[Any, ...]


def said(number: int, hours: float, text: str, **more: Any) -> bytes:
    """A message of Nora's or Tomas's, so many hours after the start."""
    message = Message.model_validate(
        {
            "conversation_id": "walks",
            "message_id": f"m{number}",
            "speaker": "Nora" if number % 2 else "Tomas",
            "timestamp": START + timedelta(hours=hours),
            "text": text,
        }
        | more
    )
    return message.model_dump_json(exclude_none=True).encode()


MORNING = [
    said(1, 0.0, "I planted nine tomato seedlings behind the shed."),
    said(2, 0.1, "We borrowed the long ladder from Marta."),
    said(3, 0.2, "The blue kettle broke in Sintra."),
    said(4, 0.3, "Lunch was two bowls of lentil soup."),
]
EVENING = [
    said(5, 8.0, "My cousin repairs accordions in Ghent."),
    said(6, 8.1, "The ferry to Texel was three hours late."),
]
BETWEEN = said(7, 4.0, "Our neighbour Ivo painted his fence yellow.")
ANOTHER_DAY = [
    said(8, 96.0, "A heron stood on the frozen canal."),
    said(9, 96.1, "I finished the green scarf for Ana."),
]
ELSEWHERE = [
    said(1, 0.0, "The printer at Halden Press jams every week.", conversation_id="work"),
    said(2, 8.0, "Joost ordered forty folding chairs.", conversation_id="work"),
]
# Far later, so that the watermark has closed all the others.
NEWEST = said(1, 480.0, "The museum opens at ten.", conversation_id="trips")
LOG = [*MORNING, *EVENING, *ANOTHER_DAY, *ELSEWHERE, NEWEST]


def streamed(folder: Path, using: Plan, *chunks: Sequence[bytes]) -> Path:
    """A stream that ends and is started again between the chunks."""
    for chunk in chunks:
        append(folder / "log.jsonl", chunk)
        stream_here(folder / "streamed", [str(folder / "log.jsonl")], using)
    return folder / "streamed"


def snapshot(warehouse: Path) -> int:
    with open_warehouse(warehouse, read_only=True) as opened:
        return opened.current_snapshot()


def places(warehouse: Path, table: str, condition: str) -> list[Row]:
    """Which rows a table has and where: a row written again has another row id."""
    with open_warehouse(warehouse, read_only=True) as opened:
        return sorted(opened.rows(f"SELECT rowid, * FROM {table} WHERE {condition}"), key=repr)


def changed_conversations(warehouse: Path, table: str, since: int) -> set[Row]:
    """Conversations of the rows that came or went after a snapshot."""
    with open_warehouse(warehouse, read_only=True) as opened:
        return set(
            opened.rows(
                "SELECT DISTINCT conversation_id FROM "
                f"ducklake_table_changes('{LAKE}', 'main', '{table}', ?, ?)",
                [since + 1, opened.current_snapshot()],
            )
        )


def check_same(streamed_into: Path, folder: Path, log: Sequence[bytes], using: Plan) -> None:
    """The stream's memory is that of one batch run over the log."""
    batch = folder / "batch"
    batch_here(batch, log, using)
    columns = {
        "sessions": ("session_id", "content_hash", "message_count", "start_time", "end_time"),
        "cells": ("cell_id", "session_id", "text"),
        "facts": ("fact_id", "session_id", "cell_id", "status"),
        "memtree_nodes": ("tree_id", "node_id", "scope_key", "summary"),
    }
    for table, names in columns.items():
        assert rows_at(streamed_into, table, *names) == rows_at(batch, table, *names), table
    assert digest_at(streamed_into) == digest_at(batch)


@MODES
def test_two_sessions_become_one(mode: Mapping[str, str], tmp_path: Path) -> None:
    using = quick_plan(tmp_path, **mode)
    warehouse = streamed(tmp_path, using, LOG)
    assert len(sessions_of(warehouse, "walks")) == 3
    before = snapshot(warehouse)
    morning, evening, other_day = (session for session, *_ in sessions_of(warehouse, "walks"))
    untouched = f"session_id = '{other_day}' OR conversation_id <> 'walks'"
    tables = dict.fromkeys(("messages", "sessions", "cells", "facts"), untouched)
    tables |= {"memtree_nodes": f"conversation_id <> 'walks' OR scope_key = '{other_day}'"}
    tables |= {"entities": "conversation_id <> 'walks'", "mentions": "conversation_id <> 'walks'"}
    # The joined session keeps the id of the first, hence the cells far enough before the message.
    tables["cells"] += " OR list_contains(message_ids, 'm1')"
    standing = {table: places(warehouse, table, where) for table, where in tables.items()}
    assert all(standing.values())

    streamed(tmp_path, using, [BETWEEN])

    merged = sessions_of(warehouse, "walks")
    assert [count for _, count in merged] == [7, 2]
    assert [session for session, _ in merged] == [morning, other_day]
    for table in ("messages", "cells", "facts"):
        assert not places(warehouse, table, f"session_id = '{evening}'")
    for table, where in tables.items():
        assert places(warehouse, table, where) == standing[table], f"{table} was rewritten"
    for table in MEMORY:
        assert changed_conversations(warehouse, table, before) <= {("walks",)}, table
    check_same(warehouse, tmp_path, [*LOG, BETWEEN], using)


def sessions_of(warehouse: Path, conversation: str) -> list[tuple[str, int]]:
    """Ids and sizes, in order of time."""
    names = ("conversation_id", "start_time", "session_id", "message_count")
    found = rows_at(warehouse, "sessions", *names)
    return [(session, count) for where, _, session, count in found if where == conversation]


def test_delivered_again_nothing_is_written(tmp_path: Path) -> None:
    """The late message, its correction, and the old version again after that."""
    using = quick_plan(tmp_path)
    corrected = said(7, 4.0, "Our neighbour Ivo painted his gate yellow.", revision=1)
    warehouse = streamed(tmp_path, using, LOG, [BETWEEN, corrected, BETWEEN])
    before = snapshot(warehouse)

    streamed(tmp_path, using, [BETWEEN, corrected])

    for table in MEMORY:
        assert not changed_conversations(warehouse, table, before), table
    check_same(warehouse, tmp_path, [*LOG, BETWEEN, corrected], using)


def test_they_part_again(tmp_path: Path) -> None:
    """A correction takes the message that held two sessions together to another time."""
    using = quick_plan(tmp_path, early="null", consolidate="session_end")
    moved = said(7, 48.0, "Our neighbour Ivo painted his fence yellow.", revision=1)
    warehouse = streamed(tmp_path, using, LOG, [BETWEEN], [moved])

    assert [count for _, count in sessions_of(warehouse, "walks")] == [4, 2, 1, 2]
    check_same(warehouse, tmp_path, [*LOG, BETWEEN, moved], using)


@MODES
def test_given_sessions_are_never_joined(mode: Mapping[str, str], tmp_path: Path) -> None:
    """Sessions that the input declares stay apart, however near the late message brings them;
    one that is given a session's id goes there, however far."""
    using = quick_plan(tmp_path, **mode)
    log = [
        said(1, 0.0, "I planted nine tomato seedlings behind the shed.", session_id="one"),
        said(2, 0.1, "We borrowed the long ladder from Marta.", session_id="one"),
        said(5, 8.0, "My cousin repairs accordions in Ghent.", session_id="two"),
        said(6, 8.1, "The ferry to Texel was three hours late.", session_id="two"),
        *ELSEWHERE,
        NEWEST,
    ]
    late = [
        BETWEEN,  # Declares nothing: a session of its own, between the two.
        said(10, 200.0, "The blue kettle broke in Sintra.", session_id="one"),
    ]
    warehouse = streamed(tmp_path, using, log)
    before = snapshot(warehouse)
    two = sessions_of(warehouse, "walks")[1][0]
    standing = {t: places(warehouse, t, f"session_id = '{two}'") for t in ("cells", "facts")}
    assert all(standing.values())

    streamed(tmp_path, using, late)

    assert [count for _, count in sessions_of(warehouse, "walks")] == [3, 1, 2]
    for table, rows in standing.items():
        assert places(warehouse, table, f"session_id = '{two}'") == rows, f"{table} was rewritten"
    for table in MEMORY:
        assert changed_conversations(warehouse, table, before) <= {("walks",)}, table
    check_same(warehouse, tmp_path, [*log, *late], using)
