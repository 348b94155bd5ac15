"""Forgotten = never ingested: canary strings through every table, then every byte is searched."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.digest import digest
from jobs.erasure_marks import without_erased
from jobs.forget import ForgetReport, Target, forget
from schemas.tables import TABLES
from schemas.tombstones import dead_letter_tombstone, tombstone_id
from tests.transforms.warehouse.rows import make_rows, messages, one_row_everywhere
from transforms.call_ledger import INVALID_OUTPUT
from transforms.warehouse.commit import ChangeSet, commit
from transforms.warehouse.connection import Warehouse, open_warehouse
from transforms.warehouse.erasure import PENDING_FILE
from transforms.warehouse.errors import WarehouseError
from transforms.warehouse.maintenance import maintain
from transforms.warehouse.read import conversation_ids, counts, read_table

pytestmark = pytest.mark.slow  # Many builds and commits.

CANARY = "AzzqCanaryZ"


def trivial_rebuild(_: Warehouse, remaining: pa.Table) -> dict[str, pa.Table]:
    """A pipeline of one step: a session and a link per message."""
    rows = remaining.to_pylist()
    links = [
        {
            "conversation_id": row["conversation_id"],
            "link_id": f"{row['conversation_id']}/{row['message_id']}",
            "type": row["text"],
        }
        for row in rows
    ]
    stamps = [{"conversation_id": row["conversation_id"], "stamp": "s"} for row in rows[:1]]
    return {
        "messages": remaining,
        "links": make_rows("links", links),
        "stamps": make_rows("stamps", stamps),
    }


def ingest(warehouse: Warehouse, conversations: Mapping[str, Mapping[str, str]]) -> None:
    for conversation, texts in conversations.items():
        rows = messages(conversation, texts)
        changes = {"messages": rows, **trivial_rebuild(warehouse, rows)}
        commit(warehouse, [ChangeSet(name, inserts=table) for name, table in changes.items()])


def ingest_dead(warehouse: Warehouse, raws: Mapping[str, bytes]) -> None:
    rows = [{"dead_letter_id": i, "raw": raw, "detail": "not JSON"} for i, raw in raws.items()]
    commit(warehouse, [ChangeSet("dead_letters", inserts=make_rows("dead_letters", rows))])


def leaks(folder: Path, needle: str) -> list[str]:
    """Where `needle` is: raw bytes of every file, decoded Parquet, footer statistics."""
    data = needle.encode()
    found = [str(f) for f in folder.rglob("*") if f.is_file() and data in f.read_bytes()]
    hexed = data.hex().encode()
    found += [f"{f} (hex)" for f in folder.rglob("*") if f.is_file() and _holds(f, hexed)]
    for file in folder.rglob("*.parquet"):
        content = pq.ParquetFile(file)
        found += [f"{file} values"] * (needle in str(content.read().to_pylist()))
        found += [f"{file} footer"] * (needle in str(list(_statistics(content))))
    return found


def _holds(file: Path, data: bytes) -> bool:
    return data in file.read_bytes().lower()


def _statistics(file: pq.ParquetFile) -> Iterator[Any]:
    metadata = file.metadata
    for group in range(metadata.num_row_groups):
        for column in range(metadata.num_columns):
            statistics = metadata.row_group(group).column(column).statistics
            if statistics is not None and statistics.has_min_max:
                yield statistics.min, statistics.max


@pytest.fixture
def clean(tmp_path: Path) -> Iterator[Warehouse]:
    """A warehouse that never had what the other one forgets."""
    with open_warehouse(tmp_path / "clean", threads=1) as opened:
        yield opened


def test_conversation_leaves_no_trace_in_any_table(warehouse: Warehouse, clean: Warehouse) -> None:
    for name, table in one_row_everywhere("kept", "c0").items():
        commit(clean, [ChangeSet(name, inserts=table)])
        commit(warehouse, [ChangeSet(name, inserts=table)])
    for name, table in one_row_everywhere(CANARY, CANARY).items():
        commit(warehouse, [ChangeSet(name, inserts=table)])
    maintain(warehouse)
    for name in ("journal", "kv", "tmp"):
        (warehouse.path / name).mkdir(exist_ok=True)
        (warehouse.path / name / "calls.jsonl").write_text(CANARY)
    orphan = warehouse.data_path / "main" / "facts" / "left-by-a-killed-writer.parquet"
    pq.write_table(pa.table({"text": [CANARY]}), orphan)
    assert leaks(warehouse.path, CANARY)
    report = forget(warehouse, Target("conversation", CANARY), trivial_rebuild)
    # Without messages of its own a conversation has nothing to rebuild.
    content = {name for name, table in TABLES.items() if not table.bookkeeping}
    assert report.rows == dict.fromkeys([n for n in TABLES if n in content], 1)
    assert leaks(warehouse.path, CANARY) == []
    assert digest(warehouse) == digest(clean)
    assert read_table(warehouse, "facts").num_rows == 1
    assert not (warehouse.path / PENDING_FILE).exists()


def test_message_equals_never_ingested(warehouse: Warehouse, clean: Warehouse) -> None:
    ingest(clean, {"c1": {"m1": "hello", "m3": "bye"}, "c2": {"m2": f"{CANARY} there"}})
    ingest(warehouse, {"c1": {"m1": "hello", "m2": "my secret", "m3": "bye"}})
    ingest(warehouse, {"c2": {"m2": f"{CANARY} there"}})
    report = forget(warehouse, Target("message", "m2", conversation="c1"), trivial_rebuild)
    assert report == ForgetReport(
        False, 1, 1, 0, rows={"messages": 3, "links": 3, "stamps": 1}, tombstones=1
    )
    assert digest(warehouse) == digest(clean)
    assert leaks(warehouse.path, "my secret") == []
    assert leaks(warehouse.path, CANARY)
    assert read_table(warehouse, "tombstones")["tombstone_id"].to_pylist() == [
        tombstone_id("default", "c1", "m2")
    ]
    again = forget(warehouse, Target("message", "m2", conversation="c1"), trivial_rebuild)
    assert (again.messages, again.tombstones, again.resumed) == (0, 0, False)
    assert forget(warehouse, Target("message", "m2"), trivial_rebuild).conversations == 1
    assert conversation_ids(warehouse) == [("default", "c1")]


def test_all_versions_of_a_message_go(warehouse: Warehouse) -> None:
    rows = make_rows(
        "messages",
        [
            {"message_id": "m1", "content_hash": h, "text": t, "is_current": c}
            for h, t, c in (("a", f"old {CANARY}", False), ("b", "new", True))
        ],
    )
    commit(warehouse, [ChangeSet("messages", inserts=rows)])
    report = forget(warehouse, Target("person", CANARY.lower()), trivial_rebuild)
    assert report.messages == 1
    assert counts(warehouse)["messages"] == 0
    assert leaks(warehouse.path, CANARY) == []


@pytest.mark.parametrize(
    ("name", "gone"),
    [
        ("Mary", {"spoken", "word", "start", "quoted", "speaker"}),
        ("mary ann", {"speaker"}),
        ("Zoë", {"accent", "decomposed"}),
        ("C++", {"sign"}),
        ("Nobody", set()),
    ],
)
def test_person(warehouse: Warehouse, name: str, gone: set[str]) -> None:
    texts = {
        "word": "I saw mary, today",
        "start": "Mary's dog",
        "quoted": '"MARY"',
        "inside": "Marymount and summary and maryé",
        "accent": "with zoë at noon",
        "decomposed": "with Zoe\u0308 at noon",
        "sign": "likes c++ a lot",
    }
    ingest(warehouse, {"c1": texts})
    for message, speaker in (("spoken", "Mary"), ("speaker", "Mary  Ann")):
        rows = messages("c1", {message: "hi"}, speaker=speaker)
        commit(warehouse, [ChangeSet("messages", inserts=rows)])
    before = set(read_table(warehouse, "messages")["message_id"].to_pylist())
    forget(warehouse, Target("person", name), trivial_rebuild)
    after = set(read_table(warehouse, "messages")["message_id"].to_pylist())
    assert before - after == gone


def test_dead_letters_of_steps_go_with_their_conversation_alone(warehouse: Warehouse) -> None:
    """What a model says may hold any number: it is none of a message that has it as its id."""
    ingest(warehouse, {"c1": {"7": "one", "8": "two"}, "c2": {"9": "three"}})
    raws = {
        name: orjson.dumps({"tenant": "default", "conversation_id": c, "key": "", "output": "7"})
        for name, c in (("of_c1", "c1"), ("of_c2", "c2"))
    }
    rows = [
        {"dead_letter_id": name, "raw": raw, "step": "extract", "reason": INVALID_OUTPUT}
        for name, raw in raws.items()
    ]
    commit(warehouse, [ChangeSet("dead_letters", inserts=make_rows("dead_letters", rows))])
    report = forget(warehouse, Target("message", "7"), trivial_rebuild)
    assert (report.messages, report.dead_letters, report.tombstones) == (1, 0, 1)
    assert read_table(warehouse, "dead_letters")["dead_letter_id"].to_pylist() == ["of_c2"]
    # A letter that comes about again is let in: it is no erased input.
    assert forget(warehouse, Target("conversation", "c2"), trivial_rebuild).tombstones == 1
    assert read_table(warehouse, "dead_letters").num_rows == 0


def test_dead_letters(warehouse: Warehouse) -> None:
    ingest_dead(
        warehouse,
        {
            "name": b'{"text": "with Zo\xc3\xab", broken',
            "escaped": b'{"text": "with Zo\\u00eb\\n", broken',
            "latin": b'{"text": "Zo\xeb"}',
            "wide": '{"text": "Zoë"}'.encode("utf-16-le"),
            "other": b'{"message_id": "m1", "text": "Zoology"}',
        },
    )
    report = forget(warehouse, Target("person", "Zoë"), trivial_rebuild)
    assert report.dead_letters == 4
    assert read_table(warehouse, "dead_letters")["dead_letter_id"].to_pylist() == ["other"]
    assert dead_letter_tombstone("latin") in set(
        read_table(warehouse, "tombstones")["tombstone_id"].to_pylist()
    )
    assert forget(warehouse, Target("message", "m"), trivial_rebuild).dead_letters == 0
    read_again = read_table(warehouse, "dead_letters").set_column(
        0, "dead_letter_id", pa.array(["of another reason"])
    )
    assert forget(warehouse, Target("message", "m1"), trivial_rebuild).dead_letters == 1
    assert leaks(warehouse.path, "Zoology") == []
    marks = frozenset(map(str, read_table(warehouse, "tombstones")["tombstone_id"].to_pylist()))
    assert without_erased(read_again, marks).num_rows == 0


def test_dry_run_touches_nothing(warehouse: Warehouse) -> None:
    ingest(warehouse, {"c1": {"m1": "hello", "m2": "bye"}, "c2": {"m1": "x"}})
    before = {f: f.read_bytes() for f in warehouse.path.rglob("*") if f.is_file()}
    path = warehouse.path
    warehouse.close()
    with open_warehouse(path, read_only=True) as reader:
        report = forget(reader, Target("conversation", "c1"), trivial_rebuild, dry_run=True)
    assert report.dry_run
    assert (report.messages, report.conversations, report.tombstones) == (2, 1, 0)
    assert report.rows == {"messages": 2, "links": 2, "stamps": 1}
    data = set(path.rglob("*.parquet"))
    assert {f for f in before if f.suffix == ".parquet"} == data
    assert all(f.read_bytes() == before[f] for f in data)
    with open_warehouse(path, read_only=True) as reader:
        assert counts(reader)["messages"] == 3


def test_killed_before_the_physical_part(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(warehouse, {"c1": {"m1": CANARY, "m2": "bye"}})
    target = Target("message", "m1")

    def killed(_: Warehouse) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("jobs.forget.erase_physically", killed)
        forget(warehouse, target, trivial_rebuild)
    assert leaks(warehouse.path, CANARY)
    assert counts(warehouse)["messages"] == 1
    assert forget(warehouse, target, trivial_rebuild).resumed
    assert leaks(warehouse.path, CANARY) == []


def test_a_failed_rebuild_changes_nothing(warehouse: Warehouse) -> None:
    ingest(warehouse, {"c1": {"m1": CANARY, "m2": "bye"}})

    def fails(_: Warehouse, remaining: pa.Table) -> dict[str, pa.Table]:
        raise RuntimeError("no model")

    before = digest(warehouse)
    with pytest.raises(RuntimeError):
        forget(warehouse, Target("message", "m1"), fails)
    with pytest.raises(ValueError, match="may not: runs"):
        forget(
            warehouse,
            Target("message", "m1"),
            lambda *_: {"runs": make_rows("runs", [])},
        )
    assert digest(warehouse) == before
    assert not (warehouse.path / PENDING_FILE).exists()


def test_statistics_stay_right_after_erasure(warehouse: Warehouse) -> None:
    """Wrong minima and maxima would make later queries skip rows."""
    ingest(warehouse, {"c1": {"a": "b", "m2": "c"}, "c5": {"m5": "d"}})
    forget(warehouse, Target("message", "a"), trivial_rebuild)
    ingest(warehouse, {"c9": {"z": "zz"}, "c0": {"aa": "aaa"}})
    for column, expected in (("text", ("aaa", "zz")), ("message_id", ("aa", "z"))):
        assert warehouse.rows(f"SELECT min({column}), max({column}) FROM messages") == [expected]
    assert warehouse.rows("SELECT text FROM messages WHERE text < 'b'") == [("aaa",)]
    assert warehouse.rows("SELECT text FROM messages WHERE message_id = 'm5'") == [("d",)]


_READER = """
import sys
from transforms.warehouse.connection import open_warehouse
with open_warehouse(sys.argv[1], read_only=True) as warehouse:
    warehouse.connection.execute("BEGIN")
    warehouse.connection.execute("FROM messages").fetchall()
    print("reading", flush=True)
    sys.stdin.read()
"""


def test_a_reader_in_the_way_is_named(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transforms.warehouse.erasure._CHECKPOINT_WAIT_MS", 50)
    ingest(warehouse, {"c1": {"m1": CANARY}})
    command = [sys.executable, "-c", _READER, str(warehouse.path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "reading\n"
        with pytest.raises(WarehouseError, match="Close other readers"):
            forget(warehouse, Target("message", "m1"), trivial_rebuild)
        reader.communicate("")
    assert forget(warehouse, Target("message", "m1"), trivial_rebuild).resumed
    assert leaks(warehouse.path, CANARY) == []


def test_empty_name_is_refused(warehouse: Warehouse) -> None:
    with pytest.raises(ValueError, match="empty name"):
        forget(warehouse, Target("person", "  "), trivial_rebuild)
