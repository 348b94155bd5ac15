"""Slices hold whole conversations, all of them, each once."""

from hypothesis import given
from hypothesis import strategies as st

from jobs.batch.reading import BUCKETS, Partition, bucket_of
from jobs.batch.slices import cut_slices

PARTITIONS = st.dictionaries(st.integers(0, BUCKETS - 1), st.integers(0, 10**6), max_size=40)


@given(PARTITIONS, st.integers(1, 8), st.integers(1_000, 10**6))
def test_every_bucket_is_in_one_slice(sizes, workers, slice_chars):
    partitions = {b: Partition([f"block {b}"], 1, chars) for b, chars in sizes.items()}
    slices = cut_slices(partitions, [], workers, slice_chars)
    blocks = [block for piece in slices for block in piece.blocks]
    assert sorted(blocks) == sorted(f"block {b}" for b in sizes)
    assert sum(piece.messages for piece in slices) == len(sizes)
    assert [p.chars for p in slices] == sorted((p.chars for p in slices), reverse=True)


@given(st.lists(st.text(min_size=1, max_size=5), unique=True, max_size=20))
def test_a_stale_conversation_shares_the_slice_of_its_new_messages(names):
    conversations = [("t", name) for name in names]
    partitions = {
        bucket_of(*c): Partition([f"block {bucket_of(*c)}"], 1, 10**6) for c in conversations
    }
    slices = cut_slices(partitions, conversations, 2, 1_000)
    for tenant, name in conversations:
        holding = [s for s in slices if (tenant, name) in s.conversations]
        assert len(holding) == 1
        assert f"block {bucket_of(tenant, name)}" in holding[0].blocks


def test_a_large_log_is_cut_into_several_slices_for_each_worker():
    partitions = {b: Partition([b], 1, 100_000) for b in range(64)}
    assert len(cut_slices(partitions, [], 2, 10**9)) >= 6


@given(PARTITIONS, st.sets(st.integers(0, BUCKETS - 1), max_size=5))
def test_a_bucket_with_a_long_conversation_is_a_slice_of_its_own(sizes, long):
    partitions = {
        b: Partition([f"block {b}"], 9, chars, longest=9 if b in long else 8)
        for b, chars in sizes.items()
    }
    slices = cut_slices(partitions, [], 2, 10**6, split_messages=8)
    blocks = [block for piece in slices for block in piece.blocks]
    assert sorted(blocks) == sorted(f"block {b}" for b in sizes)
    alone = {piece.buckets[0] for piece in slices if piece.longest > 8}
    assert alone == long & set(sizes)
    assert all(len(piece.buckets) == 1 for piece in slices if piece.longest > 8)


def test_nothing_to_do_is_no_slice():
    assert cut_slices({}, [], 2, 1_000) == []
