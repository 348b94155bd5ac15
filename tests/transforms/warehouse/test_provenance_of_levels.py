"""`provenance` leads from scenes and personas to what was said, as it does from facts."""

from typing import Any

import pyarrow as pa
import pytest

from tests.transforms.warehouse.rows import make_rows, messages
from transforms.warehouse.commit import ChangeSet, commit
from transforms.warehouse.connection import Warehouse


@pytest.fixture
def filled(warehouse: Warehouse) -> Warehouse:
    c1 = {"conversation_id": "c1"}
    facts = [
        {"fact_id": "fact_1", "message_id": "m1", "source_message_ids": ["m1", "m0"],
         "span_start": 2, "span_end": 9},
        {"fact_id": "fact_2", "message_id": "m2", "source_message_ids": ["m2"],
         "status": "duplicate", "canonical_id": "fact_1"},
        {"fact_id": "fact_3", "message_id": "m3", "source_message_ids": ["m3"]},
    ]  # fmt: skip
    tables: dict[str, pa.Table] = {
        "messages": messages("c1", {f"m{n}": f"text {n}" for n in range(5)}),
        "facts": make_rows("facts", [{**c1, "status": "active", **fact} for fact in facts]),
        "scenes": make_rows("scenes", [{**c1, "scene_id": "scene_1"}]),
        "scene_members": make_rows(
            "scene_members", [{**c1, "scene_id": "scene_1", "memory_id": "fact_1"}]
        ),
        "personas": make_rows(
            "personas", [{**c1, "persona_id": "persona_1", "evidence": ["fact_2", "fact_3"]}]
        ),
    }
    # The same fact in another conversation is none of theirs.
    other = [{"conversation_id": "c2", "fact_id": "fact_1", "source_message_ids": ["m1"]}]
    commit(warehouse, [ChangeSet(name, inserts=rows) for name, rows in tables.items()])
    commit(warehouse, [ChangeSet("facts", inserts=make_rows("facts", other))])
    return warehouse


def provenance(warehouse: Warehouse, memory: str) -> list[tuple[Any, ...]]:
    return warehouse.rows(
        "SELECT memory_kind, via_id, message_id, text, span_start, span_end FROM provenance "
        "WHERE memory_id = ? AND conversation_id = 'c1' ORDER BY message_id",
        [memory],
    )


def test_scene(filled: Warehouse) -> None:
    """By its members, and by what was merged into them."""
    assert provenance(filled, "scene_1") == [
        ("scene", "fact_1", "m0", "text 0", None, None),
        ("scene", "fact_1", "m1", "text 1", 2, 9),
        ("scene", "fact_2", "m2", "text 2", 0, 0),
    ]


def test_persona(filled: Warehouse) -> None:
    """By its evidence, repetitions included, and by nothing else."""
    assert provenance(filled, "persona_1") == [
        ("persona", "fact_2", "m2", "text 2", 0, 0),
        ("persona", "fact_3", "m3", "text 3", 0, 0),
    ]


def test_fact_as_before(filled: Warehouse) -> None:
    found = provenance(filled, "fact_1")
    assert [row[:3] for row in found] == [
        ("fact", "fact_1", "m0"),
        ("fact", "fact_1", "m1"),
        ("fact", "fact_2", "m2"),
    ]
