"""The change set turns recorded rows into computed rows, and touches nothing else."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from schemas.tables import TABLES
from transforms.diff import difference, merged

ROWS = st.dictionaries(
    st.integers(0, 8), st.tuples(st.text(max_size=3), st.lists(st.text(max_size=2), max_size=2))
)


def stamps(rows: dict[int, tuple[str, list[str]]]) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                "tenant": "t",
                "conversation_id": f"c{number % 2}",
                "entity_id": str(number),
                "name": name,
                "kind": "name",
                "aliases": aliases,
                "first_seen": 0,
                "last_seen": 0,
                "mention_count": 1,
                "session_count": 1,
            }
            for number, (name, aliases) in rows.items()
        ],
        schema=TABLES["entities"].schema,
    )


def by_key(table: pa.Table) -> dict[str, dict[str, object]]:
    return {row["entity_id"]: row for row in table.to_pylist()}


@given(ROWS, ROWS)
def test_applying_the_difference_gives_the_computed_rows(old, new):
    existing, computed = stamps(old), stamps(new)
    change = difference("entities", existing, computed)
    assert change.deletes is not None and change.inserts is not None
    state = by_key(existing)
    for row in change.deletes.to_pylist():
        del state[row["entity_id"]]
    for key, row in by_key(change.inserts).items():
        assert key not in state
        state[key] = row
    assert state == by_key(computed)


@given(ROWS)
def test_equal_rows_change_nothing(rows):
    reversed_rows = dict(reversed(rows.items()))
    assert difference("entities", stamps(rows), stamps(reversed_rows)).empty


@given(ROWS, ROWS)
def test_only_rows_that_differ_are_touched(old, new):
    change = difference("entities", stamps(old), stamps(new))
    assert change.inserts is not None
    assert set(by_key(change.inserts)) == {str(k) for k in new if old.get(k) != new[k]}


def test_a_null_and_an_empty_list_differ():
    table = TABLES["facts"]
    row = dict.fromkeys(table.schema.names)
    blank = pa.Table.from_pylist([row | {"fact_id": "f", "entities": []}])
    null = pa.Table.from_pylist([row | {"fact_id": "f", "entities": None}])
    schema = pa.schema([pa.field(f.name, f.type) for f in table.schema])
    change = difference("facts", null.cast(schema), blank.cast(schema))
    assert change.inserts is not None and change.inserts.num_rows == 1


def test_changes_of_slices_become_one_per_table():
    first = difference("entities", stamps({}), stamps({1: ("a", [])}))
    second = difference("entities", stamps({2: ("b", [])}), stamps({}))
    (change,) = merged([first, second])
    assert change.inserts is not None and change.deletes is not None
    assert (change.inserts.num_rows, change.deletes.num_rows) == (1, 1)
