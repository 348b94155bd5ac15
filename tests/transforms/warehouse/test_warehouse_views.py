from datetime import timedelta
from typing import Any

from tests.transforms.warehouse.rows import START, make_rows, messages
from transforms.warehouse.commit import ChangeSet, commit
from transforms.warehouse.connection import Warehouse


def fact(fact_id: str, day: int, **columns: Any) -> dict[str, Any]:
    return {
        "conversation_id": "c1",
        "fact_id": fact_id,
        "message_id": f"m{day}",
        "source_message_ids": [f"m{day}"],
        "text": f"text of {fact_id}",
        "event_time": START + timedelta(days=day),
        "valid_from": START + timedelta(days=day),
        "status": "active",
        **columns,
    }


def fill(warehouse: Warehouse) -> None:
    """Lives in Rome (day 1, again day 2), moves to Oslo (day 3), tells it in other words (4)."""
    facts = [
        fact("rome", 1, status="superseded", superseded_by="oslo",
             valid_to=START + timedelta(days=3)),
        fact("rome2", 2, status="duplicate", canonical_id="rome"),
        fact("oslo", 3, source_message_ids=["m3", "m2"]),
        fact("oslo2", 4, status="duplicate", canonical_id="oslo",
             source_message_ids=["m4", "m3"]),
    ]  # fmt: skip
    commit(
        warehouse,
        [
            ChangeSet("facts", inserts=make_rows("facts", facts)),
            ChangeSet("messages", inserts=messages("c1", {f"m{i}": f"said {i}" for i in range(5)})),
        ],
    )


def as_of(warehouse: Warehouse, day: float) -> list[tuple[Any, ...]]:
    time = (START + timedelta(days=day)).isoformat()
    return warehouse.rows(
        f"SELECT id, source_message_ids, valid_to FROM memories_as_of('{time}') ORDER BY id"
    )


def test_memories_unite_the_sources_of_duplicates(warehouse: Warehouse) -> None:
    fill(warehouse)
    found = warehouse.rows("SELECT id, kind, source_message_ids FROM memories")
    assert found == [("oslo", "fact", ["m3", "m2", "m4"])]


def test_memories_as_of(warehouse: Warehouse) -> None:
    fill(warehouse)
    assert as_of(warehouse, 0.5) == []
    assert as_of(warehouse, 1) == [("rome", ["m1"], None)]
    assert as_of(warehouse, 2.5) == [("rome", ["m1", "m2"], None)]
    assert as_of(warehouse, 3) == [("oslo", ["m3", "m2"], None)]
    assert as_of(warehouse, 9) == [("oslo", ["m3", "m2", "m4"], None)]


def test_as_of_does_not_know_what_was_said_later(warehouse: Warehouse) -> None:
    """On day 9 it is told that the job ended on day 2; on day 5 nobody knew."""
    facts = [
        fact("job", 1, status="superseded", superseded_by="told", valid_to=START + timedelta(2)),
        fact("told", 9, valid_from=START + timedelta(days=2)),
    ]
    commit(warehouse, [ChangeSet("facts", inserts=make_rows("facts", facts))])
    assert [row[0] for row in as_of(warehouse, 5)] == ["job"]
    assert [row[0] for row in as_of(warehouse, 9)] == ["told"]


def test_provenance_timeline_current_messages(warehouse: Warehouse) -> None:
    fill(warehouse)
    found = warehouse.rows(
        "SELECT via_id, message_id, text, span_start FROM provenance "
        "WHERE memory_id = 'oslo' ORDER BY ALL"
    )
    assert found == [
        ("oslo", "m2", "said 2", None),
        ("oslo", "m3", "said 3", 0),
        ("oslo2", "m3", "said 3", None),
        ("oslo2", "m4", "said 4", 0),
    ]
    kinds = warehouse.rows("SELECT kind, id FROM timeline ORDER BY time, kind")
    assert kinds == [("fact", "rome"), ("fact", "oslo"), ("supersession", "rome")]
    assert warehouse.rows("SELECT count(*) FROM current_messages") == [(5,)]
