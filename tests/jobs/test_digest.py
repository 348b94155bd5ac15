import random
from typing import Any
from unittest.mock import patch

import duckdb
import pyarrow as pa
import pytest

from jobs.digest import TableDigest, digest
from schemas.tables import TABLES
from tests.transforms.warehouse.rows import make_rows, one_row_everywhere
from transforms.warehouse.commit import ChangeSet, commit
from transforms.warehouse.connection import Warehouse
from transforms.warehouse.maintenance import maintain


class InMemory:
    """What `digest` asks of a warehouse, over a table that was never written to any file."""

    def __init__(self, name: str, rows: pa.Table) -> None:
        self._rows = duckdb.connect(config={"threads": 1})
        self._rows.register(name, rows)
        self.connection = self

    def current_snapshot(self) -> int:
        return 0

    def execute(self, sql: str) -> duckdb.DuckDBPyConnection:
        plain = sql.replace(" AT (VERSION => 0)", "")
        assert plain != sql
        return self._rows.execute(plain)


def tables_of(source: Warehouse | InMemory, *names: str) -> dict[str, TableDigest]:
    """Digests of some tables."""
    with patch("jobs.digest.TABLES", {name: TABLES[name] for name in names}):
        return digest(source)["tables"]  # pyright: ignore[reportArgumentType] InMemory has what it asks


def hash_of(table: str, rows: list[dict[str, Any]]) -> str:
    return tables_of(InMemory(table, make_rows(table, rows)), table)[table]["sha256"]


def test_content_tables_only(warehouse: Warehouse) -> None:
    found = digest(warehouse)
    assert set(found["tables"]) == {n for n, t in TABLES.items() if not t.bookkeeping}
    commit(warehouse, [], [ChangeSet("runs", inserts=make_rows("runs", [{"run_id": "r"}]))])
    assert digest(warehouse) == found


@pytest.mark.parametrize("name", [n for n, t in TABLES.items() if not t.bookkeeping])
def test_every_content_column_counts(name: str) -> None:
    """And no bookkeeping column does."""
    rows = one_row_everywhere("word")[name]
    before = tables_of(InMemory(name, rows), name)
    for number, column in enumerate(TABLES[name].columns):
        after = tables_of(InMemory(name, _changed(rows, number)), name)
        assert (after == before) == column.bookkeeping, column.name


def _changed(table: pa.Table, number: int) -> pa.Table:
    field = table.schema.field(number)
    return table.set_column(number, field, _other(field.type))


def _other(type_: pa.DataType) -> "pa.Array[Any]":
    if pa.types.is_list(type_):
        return pa.array([[7.0] if type_.value_type == pa.float32() else ["other"]], type_)
    if pa.types.is_boolean(type_):
        return pa.array([False], type_)
    if pa.types.is_binary(type_):
        return pa.array([b"\x00\xff"], type_)
    if pa.types.is_string(type_):
        return pa.array(["other"], type_)
    return pa.array([7]).cast(type_)


NEAR = [
    ("messages", {"role": None}, {"role": ""}),
    ("messages", {"role": None}, {"role": "n"}),
    ("messages", {"role": "ab", "given_session_id": "c"},
     {"role": "a", "given_session_id": "bc"}),
    ("messages", {"role": "x", "given_session_id": None},
     {"role": None, "given_session_id": "x"}),
    ("cells", {"speakers": []}, {"speakers": [""]}),
    ("cells", {"speakers": ["a", "b"]}, {"speakers": ["a,b"]}),
    ("cells", {"speakers": ['a","b']}, {"speakers": ["a", "b"]}),
    ("cells", {"speakers": ["a"], "message_ids": []},
     {"speakers": [], "message_ids": ["a"]}),
    ("links", {"score": 0.1}, {"score": 0.1 + 2**-55}),
    ("links", {"score": 0.0}, {"score": -0.0}),
    ("embeddings", {"vector": [0.0, 1.0]}, {"vector": [-0.0, 1.0]}),
    ("embeddings", {"vector": []}, {"vector": [0.0]}),
    ("dead_letters", {"raw": b"\x01"}, {"raw": b"\x02"}),
    ("dead_letters", {"raw": b""}, {"raw": b"\x00"}),
]  # fmt: skip


@pytest.mark.parametrize(("table", "first", "second"), NEAR)
def test_near_values_differ(table: str, first: dict[str, Any], second: dict[str, Any]) -> None:
    assert hash_of(table, [first]) != hash_of(table, [second])


def test_files_give_back_the_values_to_the_bit(warehouse: Warehouse) -> None:
    for name in {name for name, _, _ in NEAR}:
        rows = make_rows(name, [row for table, *pair in NEAR if table == name for row in pair])
        commit(warehouse, [ChangeSet(name, inserts=rows)])
        assert tables_of(warehouse, name) == tables_of(InMemory(name, rows), name)


def test_order_files_and_duplicates(warehouse: Warehouse) -> None:
    links = [{"link_id": f"l{i}", "score": i / 7} for i in range(50)]
    vectors = [{"text_hash": f"t{i}", "vector": [i / 7, -i]} for i in range(50)]
    expected = [hash_of("links", links), hash_of("embeddings", vectors)]
    random.Random(1).shuffle(links)
    random.Random(2).shuffle(vectors)
    for part in (slice(20), slice(20, 35), slice(35, None)):
        files = {"links": links[part], "embeddings": vectors[part]}
        commit(warehouse, [ChangeSet(n, inserts=make_rows(n, r)) for n, r in files.items()])
    for _ in range(2):
        found = tables_of(warehouse, "links", "embeddings")
        assert [found[name]["sha256"] for name in ("links", "embeddings")] == expected
        maintain(warehouse)
    commit(warehouse, [ChangeSet("links", inserts=make_rows("links", links[:1]))])
    twice = tables_of(warehouse, "links")["links"]["sha256"]
    assert twice == hash_of("links", [*links, links[0]]) != expected[0]
    assert hash_of("links", [*links, links[1]]) not in (expected[0], twice)
