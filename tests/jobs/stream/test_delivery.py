"""Positions move over what has been committed, and over nothing else."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from jobs.stream.delivery import Delivery, Mark, Parcel

ROWS = pa.table({"text": ["a"]})
A, B = ("s", "a"), ("s", "b")


def parcels(delivery: Delivery, count: int) -> list[Parcel]:
    return [Parcel(delivery.next_token(), ("t", "c"), ROWS, 0.0, "s") for _ in range(count)]


def test_a_position_waits_for_every_parcel_of_its_batch() -> None:
    delivery = Delivery()
    first, second = parcels(delivery, 2)
    delivery.register(A, Mark("1", 10), [first, second])

    assert delivery.settle([first.token]) == {}
    assert delivery.settle([second.token]) == {A: Mark("1", 10)}
    assert delivery.bytes == delivery.messages == 0


def test_a_position_waits_for_earlier_batches_of_its_partition_alone() -> None:
    delivery = Delivery()
    (one,), (two,), (other,) = parcels(delivery, 1), parcels(delivery, 1), parcels(delivery, 1)
    delivery.register(A, Mark("1", 1), [one])
    delivery.register(A, Mark("2", 2), [two])
    delivery.register(B, Mark("9", 9), [other])

    assert delivery.settle([two.token, other.token]) == {B: Mark("9", 9)}
    assert delivery.settle([one.token]) == {A: Mark("2", 2)}


def test_a_batch_without_parcels_moves_at_once() -> None:
    delivery = Delivery()
    delivery.register(A, Mark("1", None), [])

    assert delivery.ready
    assert delivery.settle([]) == {A: Mark("1", None)}
    assert not delivery.ready


@given(st.data())
def test_what_is_behind_the_position_has_been_settled(data: st.DataObject) -> None:
    delivery, batch_tokens, position = Delivery(), [], 0
    for number in range(data.draw(st.integers(1, 6))):
        batch = parcels(delivery, data.draw(st.integers(0, 3)))
        delivery.register(A, Mark(str(number + 1), number), batch)
        batch_tokens.append({parcel.token for parcel in batch})
    tokens = data.draw(st.permutations([t for batch in batch_tokens for t in sorted(batch)]))
    settled: set[int] = set()
    for token in tokens:
        marks = delivery.settle([token])
        settled.add(token)
        position = int(marks[A].position) if A in marks else position
        assert all(batch <= settled for batch in batch_tokens[:position])
        assert position == len(batch_tokens) or not batch_tokens[position] <= settled
    assert delivery.bytes == 0
