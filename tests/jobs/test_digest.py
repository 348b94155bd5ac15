import random
from typing import Any

import pyarrow as pa
import pytest

from jobs.digest import digest
from schemas.tables import TABLES
from tests.transforms.warehouse.rows import make_rows, one_row_everywhere
from transforms.warehouse.commit import ChangeSet, commit
from transforms.warehouse.connection import Warehouse
from transforms.warehouse.maintenance import maintain
from transforms.warehouse.read import read_table


def replace(warehouse: Warehouse, table: str, rows: list[dict[str, Any]]) -> str:
    old = read_table(warehouse, table).select(list(TABLES[table].key))
    commit(warehouse, [ChangeSet(table, deletes=old, inserts=make_rows(table, rows))])
    return digest(warehouse)["tables"][table]["sha256"]


def test_content_tables_only(warehouse: Warehouse) -> None:
    found = digest(warehouse)
    assert set(found["tables"]) == {n for n, t in TABLES.items() if not t.bookkeeping}
    commit(warehouse, [], [ChangeSet("runs", inserts=make_rows("runs", [{"run_id": "r"}]))])
    assert digest(warehouse) == found


def test_every_content_column_of_every_table_counts(warehouse: Warehouse) -> None:
    """And no bookkeeping column does."""
    rows = one_row_everywhere("word")
    replace_all(warehouse, {}, rows)
    before = digest(warehouse)["tables"]
    current = rows
    for number in range(max(len(TABLES[name].columns) for name in rows)):
        changed = {n: _changed(t, number) for n, t in rows.items() if number < t.num_columns}
        replace_all(warehouse, current, changed)
        after = digest(warehouse)["tables"]
        for name in changed:
            column = TABLES[name].columns[number]
            assert (after[name] == before[name]) == column.bookkeeping, (name, column.name)
        current = changed
    replace_all(warehouse, current, rows)
    assert digest(warehouse)["tables"] == before


def replace_all(warehouse: Warehouse, old: dict[str, pa.Table], new: dict[str, pa.Table]) -> None:
    deletes = [
        ChangeSet(name, deletes=table.select(list(TABLES[name].key))) for name, table in old.items()
    ]
    commit(warehouse, [*deletes, *(ChangeSet(name, inserts=table) for name, table in new.items())])


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


@pytest.mark.parametrize(
    ("table", "first", "second"),
    [
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
    ],
)  # fmt: skip
def test_near_values_differ(
    warehouse: Warehouse, table: str, first: dict[str, Any], second: dict[str, Any]
) -> None:
    one = replace(warehouse, table, [first])
    assert replace(warehouse, table, [second]) != one
    assert replace(warehouse, table, [first]) == one


def test_order_files_and_duplicates(warehouse: Warehouse) -> None:
    rows = [{"link_id": f"l{i}", "score": i / 7} for i in range(50)]
    vectors = [{"text_hash": f"t{i}", "vector": [i / 7, -i]} for i in range(50)]
    one = replace(warehouse, "links", rows)
    two = replace(warehouse, "embeddings", vectors)
    random.Random(1).shuffle(rows)
    random.Random(2).shuffle(vectors)
    replace(warehouse, "links", rows[:20])
    replace(warehouse, "embeddings", vectors[:20])
    for row in (make_rows("links", rows[20:35]), make_rows("links", rows[35:])):
        commit(warehouse, [ChangeSet("links", inserts=row)])
    commit(warehouse, [ChangeSet("embeddings", inserts=make_rows("embeddings", vectors[20:]))])
    found = digest(warehouse)["tables"]
    assert (found["links"]["sha256"], found["embeddings"]["sha256"]) == (one, two)
    maintain(warehouse)
    assert digest(warehouse)["tables"] == found
    twice = replace(warehouse, "links", [*rows, rows[0]])
    assert twice != one
    assert replace(warehouse, "links", [*rows, rows[1]]) not in (one, twice)
