"""Messages that came too late are forgotten like all others, and do not come back."""

from collections.abc import Iterable
from typing import Any

import pytest

from jobs.digest import digest
from jobs.forget import Target, forget
from pipelines.admission import kept_out, without_tombstones
from schemas.tombstones import dead_letter_tombstone, tombstone_id
from tests.jobs.test_forget import CANARY, ingest, leaks, trivial_rebuild
from tests.transforms.warehouse.rows import START, make_rows, messages
from transforms.event_time.lateness import TooLate, too_late_ids, too_late_letters
from transforms.warehouse.commit import commit, insert_new
from transforms.warehouse.connection import Warehouse
from transforms.warehouse.read import read_table

pytestmark = pytest.mark.slow  # Many builds and commits.


def late(rows: Iterable[dict[str, Any]]) -> TooLate:
    given = [{"content_hash": f"late-{row['text']}", "timestamp": START, **row} for row in rows]
    table = make_rows("messages", given)
    return TooLate(table, [0] * table.num_rows, ["log"] * table.num_rows)


SECRET = late([{"conversation_id": "c1", "message_id": "m2", "text": f"{CANARY} and m7"}])
OTHERS = late(
    [
        {"conversation_id": "c1", "message_id": "m7", "text": "mentions m2"},
        {"conversation_id": "c2", "message_id": "m2", "text": "elsewhere"},
        {"conversation_id": "c1", "message_id": "m2", "text": "of another", "tenant": "acme"},
    ]
)


def keep(warehouse: Warehouse, *several: TooLate) -> None:
    commit(warehouse, [insert_new("dead_letters", too_late_letters(each)) for each in several])


def tombstones(warehouse: Warehouse) -> set[str]:
    return set(map(str, read_table(warehouse, "tombstones")["tombstone_id"].to_pylist()))


def letters(warehouse: Warehouse) -> set[str]:
    return set(map(str, read_table(warehouse, "dead_letters")["dead_letter_id"].to_pylist()))


@pytest.mark.parametrize(
    "target",
    [
        Target("message", "m2", conversation="c1", tenant="default"),
        Target("conversation", "c9"),
        Target("person", CANARY.lower()),
    ],
    ids=lambda target: target.kind,
)
def test_a_late_message_is_forgotten_and_stays_so(warehouse: Warehouse, target: Target) -> None:
    secret = SECRET
    if target.kind == "conversation":
        secret = late([{"conversation_id": "c9", "message_id": "m2", "text": CANARY}])
    ingest(warehouse, {"c1": {"m1": "hello"}})
    keep(warehouse, OTHERS)
    before = digest(warehouse)
    keep(warehouse, secret)
    report = forget(warehouse, target, trivial_rebuild)
    assert (report.messages, report.conversations, report.dead_letters) == (0, 0, 1)
    assert report.tombstones == 2
    assert digest(warehouse) == before
    assert leaks(warehouse.path, CANARY) == []
    marks = tombstones(warehouse)
    assert without_tombstones(secret.rows, marks).num_rows == 0
    assert without_tombstones(OTHERS.rows, marks).num_rows == OTHERS.rows.num_rows
    again, counters = kept_out(secret, secret.rows.slice(0, 0), marks)
    assert again.num_rows == 0
    assert counters["event_time"]["erased"] == 1
    assert forget(warehouse, target, trivial_rebuild).tombstones == 0


def test_all_versions_go_whether_in_memory_or_late(warehouse: Warehouse) -> None:
    """One version names the person: the recorded one, or the one that came too late."""
    keep(warehouse, late([{"conversation_id": "c1", "message_id": "m2", "text": "older text"}]))
    keep(warehouse, late([{"conversation_id": "c1", "message_id": "m1", "text": f"by {CANARY}"}]))
    ingest(warehouse, {"c1": {"m1": "newer text", "m2": f"with {CANARY}", "m3": "stays"}})
    report = forget(warehouse, Target("person", CANARY), trivial_rebuild)
    assert (report.messages, report.dead_letters, report.tombstones) == (2, 2, 4)
    assert read_table(warehouse, "messages")["message_id"].to_pylist() == ["m3"]
    assert letters(warehouse) == set()
    for word in (CANARY, "older text", "newer text"):
        assert leaks(warehouse.path, word) == []


def test_a_dry_run_counts_late_messages(warehouse: Warehouse) -> None:
    ingest(warehouse, {"c1": {"m1": "hello"}})
    keep(warehouse, SECRET, OTHERS)
    before = digest(warehouse)
    target = Target("conversation", "c1", all_tenants=True)
    report = forget(warehouse, target, trivial_rebuild, dry_run=True)
    assert (report.messages, report.dead_letters, report.rows["dead_letters"]) == (1, 3, 3)
    assert digest(warehouse) == before


def test_the_tombstones_are_those_that_readers_look_for(warehouse: Warehouse) -> None:
    keep(warehouse, SECRET)
    forget(warehouse, Target("message", "m2"), trivial_rebuild)
    [letter] = too_late_ids(SECRET.rows)
    expected = {tombstone_id("default", "c1", "m2"), dead_letter_tombstone(letter)}
    assert tombstones(warehouse) == expected
    again = messages("c1", {"m2": "another text"})
    assert without_tombstones(again, tombstones(warehouse)).num_rows == 0
