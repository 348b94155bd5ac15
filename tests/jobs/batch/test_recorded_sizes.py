"""Conversations without new messages count by what is recorded of them."""

from jobs.batch.reading import Partition, bucket_of
from jobs.batch.recorded_sizes import with_recorded
from jobs.batch.slices import cut_slices
from tests.transforms.warehouse.rows import messages
from transforms.warehouse.commit import ChangeSet, commit
from transforms.warehouse.connection import Warehouse

STALE = [("default", f"talk-{number}") for number in range(6)]


def fill(warehouse: Warehouse) -> None:
    for number, (_, talk) in enumerate(STALE):
        texts = {f"m{message}": "x" * 40_000 for message in range(number + 1)}
        commit(warehouse, [ChangeSet("messages", inserts=messages(talk, texts))])


def test_stale_conversations_make_slices_for_all_workers(warehouse: Warehouse) -> None:
    fill(warehouse)
    sizes = with_recorded(warehouse, {}, STALE)
    assert sum(size.messages for size in sizes.values()) == 21
    assert sum(size.chars for size in sizes.values()) == 21 * 40_000
    slices = cut_slices(sizes, STALE, 2, 500_000)
    assert len(slices) >= 2
    assert sorted(c for piece in slices for c in piece.conversations) == STALE


def test_input_counts_as_it_was_read(warehouse: Warehouse) -> None:
    fill(warehouse)
    bucket = bucket_of(*STALE[0])
    read = {bucket: Partition(["block"], 3, 30)}
    sizes = with_recorded(warehouse, read, STALE)
    assert (sizes[bucket].messages, sizes[bucket].chars) == (3, 30)
    assert read == {bucket: Partition(["block"], 3, 30)}


def test_a_long_conversation_is_known_whether_it_is_alone_or_has_new_messages(
    warehouse: Warehouse,
) -> None:
    fill(warehouse)
    bucket = bucket_of(*STALE[5])
    for read in ({}, {bucket: Partition(["block"], 1, 10, longest=1)}):
        assert with_recorded(warehouse, read, STALE[5:])[bucket].longest == 6
    assert with_recorded(warehouse, {}, []) == {}
