"""What a worker remembers is what it would read."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.stream.remembered import RememberedRows, applied
from pipelines.recorded import CONTENT_TABLES
from pipelines.slice_build import build_slice
from schemas.message import Message
from schemas.tables import TABLES
from tests.effort import examples
from tests.jobs.stream.here import models
from tests.pipelines.logs import START, messages, parsed
from tests.pipelines.test_function_of_the_log import shipped
from tests.reference.memory_store import MemoryStore
from transforms.diff import ChangeSet
from transforms.frame import conversations_of

BOTH = (("default", "walks"), ("default", "work"))


ONE = Message(
    conversation_id="walks",
    message_id="m1",
    speaker="Nora",
    timestamp=START,
    text="I live in Porto now, close to the river.",
)


class Counted:
    """A store that counts how often it is read."""

    def __init__(self, store: MemoryStore) -> None:
        self.store, self.reads = store, 0

    def read_table(self, name, columns=None, conversations=None):
        self.reads += 1
        return self.store.read_table(name, columns, conversations)


def rows_of(table: pa.Table) -> list[str]:
    return sorted(map(repr, table.to_pylist()))


@pytest.mark.slow
@examples(6)
@given(st.lists(messages(size=5), min_size=2, max_size=4), st.data())
def test_as_the_store_has_it(batches, data: st.DataObject) -> None:
    store = MemoryStore()
    remembered = [RememberedRows(store), RememberedRows(store)]
    built_by = dict.fromkeys(BOTH, 0)
    for serial, batch in enumerate(batches, 1):
        rows = data.draw(st.sampled_from(remembered))
        table = parsed(batch)
        names = conversations_of(table)
        rows.expect({name: built_by[name] for name in names})
        for name in (*CONTENT_TABLES, "stamps"):
            assert rows_of(rows.read_table(name, None, names)) == rows_of(
                store.read_table(name, None, names)
            )
        changes = build_slice(table, [], rows, shipped().steps, models()).changes
        store.apply(changes)
        rows.remember(names, serial, changes)
        built_by |= dict.fromkeys(names, serial)


def test_what_is_remembered_is_not_read_again() -> None:
    store = Counted(MemoryStore())
    rows = RememberedRows(store)
    batch = parsed([ONE])
    rows.expect({BOTH[0]: 0})
    changes = build_slice(batch, [], rows, shipped().steps, models()).changes
    store.store.apply(changes)
    rows.remember([BOTH[0]], 1, changes)
    before = store.reads

    rows.expect({BOTH[0]: 1})
    assert rows.read_table("facts", None, [BOTH[0]]).num_rows
    assert store.reads == before

    rows.expect({BOTH[0]: 2})  # Another builder has had it since.
    rows.read_table("facts", None, [BOTH[0]])
    assert store.reads == before + 1


def test_least_recently_built_goes_first() -> None:
    store = Counted(MemoryStore())
    rows = RememberedRows(store, most_bytes=1)
    rows.expect({BOTH[0]: 0})
    changes = build_slice(parsed([ONE]), [], rows, shipped().steps, models()).changes
    store.store.apply(changes)
    rows.remember([BOTH[0]], 1, changes)
    before = store.reads
    rows.expect({BOTH[0]: 1})

    assert rows.read_table("facts", None, [BOTH[0]]).num_rows
    assert store.reads == before + 1


def test_applied() -> None:
    schema = TABLES["stamps"].schema
    row = {"tenant": "t", "conversation_id": "c", "key": "", "step": "a", "stamp": "1"}
    rows = pa.Table.from_pylist([row, row | {"step": "b"}], schema=schema)
    deletes = rows.select(["tenant", "conversation_id", "key", "step"]).slice(0, 1)
    inserts = pa.Table.from_pylist([row | {"stamp": "2"}], schema=schema)

    after = applied(rows, ChangeSet("stamps", deletes, inserts))
    assert [(r["step"], r["stamp"]) for r in after.to_pylist()] == [("b", "1"), ("a", "2")]
