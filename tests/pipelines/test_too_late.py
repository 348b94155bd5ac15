"""Messages later than allowed: kept out, kept, and taken in where somebody asks for it."""

from collections.abc import Collection, Sequence

import pytest
from hypothesis import given

from operators.parse.jsonl import parse_jsonl
from pipelines.slice_build import SliceResult, build_slice
from schemas.message import Message
from schemas.tombstones import dead_letter_tombstone, tombstone_id
from tests.effort import examples
from tests.pipelines.logs import START, messages, parsed
from tests.pipelines.test_function_of_the_log import STORY, models, shipped
from tests.reference.memory_store import MemoryStore
from transforms.event_time.lateness import TooLate

NEWEST = int(START.timestamp()) * 1_000_000


def late(batch: Sequence[Message]) -> TooLate:
    return TooLate(parsed(list(batch)), [NEWEST] * len(batch), ["log"] * len(batch))


def build(
    store: MemoryStore,
    batch: Sequence[Message],
    too_late: Sequence[Message] = (),
    tombstones: Collection[str] = (),
) -> SliceResult:
    result = build_slice(
        parsed(list(batch)),
        [],
        store,
        shipped().steps,
        models(),
        frozenset(tombstones),
        open_letters(store),
        late(too_late) if too_late else None,
    )
    store.apply(result.changes)
    return result


def open_letters(store: MemoryStore) -> frozenset[str]:
    rows = store.rows["dead_letters"].values()
    return frozenset(str(row["dead_letter_id"]) for row in rows if row["step"] != "read")


def raws(store: MemoryStore) -> list[bytes]:
    return [bytes(row["raw"]) for row in store.rows["dead_letters"].values()]  # pyright: ignore[reportArgumentType] rows are of any type here


def counted(result: SliceResult) -> dict[str, int]:
    counts = result.counters["event_time"]
    assert counts["in"] == counts["repeated"] + counts["erased"] + counts["dead_letters"]
    return counts


def test_a_late_message_is_kept_out_and_changes_nothing_else():
    store, expected = MemoryStore(), MemoryStore()
    build(expected, STORY[1:])
    result = build(store, STORY[1:], too_late=STORY[:1])
    assert counted(result) == {"in": 1, "repeated": 0, "erased": 0, "dead_letters": 1}
    without = {name: rows for name, rows in store.content().items() if name != "dead_letters"}
    assert without == {n: r for n, r in expected.content().items() if n != "dead_letters"}
    assert store.rows["stamps"] == expected.rows["stamps"]
    assert parse_jsonl(enumerate(raws(store), 1), "x").messages.equals(parsed(STORY[:1]))


def test_an_unknown_conversation_does_not_come_to_be():
    store = MemoryStore()
    result = build(store, [], too_late=STORY)
    assert [change.table for change in result.changes] == ["dead_letters"]
    assert counted(result)["dead_letters"] == len(STORY)


def test_a_repeated_message_is_no_late_one():
    store = MemoryStore()
    build(store, STORY[:2])
    result = build(store, STORY[2:3], too_late=STORY[:3])
    assert counted(result) == {"in": 3, "repeated": 3, "erased": 0, "dead_letters": 0}
    assert not store.rows["dead_letters"]


def test_a_higher_revision_of_a_known_content_is_news():
    store = MemoryStore()
    build(store, STORY[:1])
    again = STORY[0].model_copy(update={"revision": 3})
    assert counted(build(store, [], too_late=[again]))["dead_letters"] == 1
    build(store, STORY[:1])
    assert len(store.rows["dead_letters"]) == 1, "the lower revision does not stand for it"
    build(store, [again])
    assert not store.rows["dead_letters"]


def test_a_late_message_delivered_again_is_one_dead_letter():
    store = MemoryStore()
    build(store, [], too_late=[*STORY[:1], *STORY[:1]])
    before = dict(store.rows["dead_letters"])
    build(store, [], too_late=STORY[:1])
    assert len(before) == 1
    assert store.rows["dead_letters"] == before


def test_erased_messages_leave_no_dead_letter():
    store = MemoryStore()
    build(store, [], too_late=STORY[:2])
    letters = sorted(open_letters(store))
    gone = [tombstone_id("default", "walks", STORY[2].message_id)]
    gone += [dead_letter_tombstone(letter) for letter in letters]
    empty = MemoryStore()
    result = build(empty, [], too_late=STORY[:3], tombstones=gone)
    assert counted(result) == {"in": 3, "repeated": 0, "erased": 3, "dead_letters": 0}
    assert result.changes == ()


def test_without_late_messages_nothing_is_counted():
    assert "event_time" not in build(MemoryStore(), STORY[:1]).counters


@pytest.mark.slow
@given(messages(), messages())
@examples(6)
def test_dead_letters_taken_in_give_the_memory_of_the_whole_log(log, more):
    store, expected = MemoryStore(), MemoryStore()
    counted(build(store, log, too_late=more))
    backfill = parse_jsonl(enumerate(raws(store), 1), "late.jsonl")
    assert backfill.dead_letters.num_rows == 0
    result = build_slice(
        backfill.messages, [], store, shipped().steps, models(), (), open_letters(store)
    )
    store.apply(result.changes)
    build(expected, [*log, *more])
    assert store.content() == expected.content()
