"""`memory_heat` against a slow reading of the same rules, event by event."""

import math
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.tables import TABLES
from tests.effort import examples
from tests.transforms.warehouse.rows import START, make_rows
from transforms.warehouse.commit import ChangeSet, commit
from transforms.warehouse.connection import Warehouse, open_warehouse

DAY = timedelta(days=1)


def fact(fact_id: str, day: float = 0, importance: float = 0.5, **more: Any) -> dict[str, Any]:
    row = {
        "conversation_id": "c1",
        "fact_id": fact_id,
        "source_message_ids": [f"m-{fact_id}"],
        "text": f"text of {fact_id}",
        "event_time": START + day * DAY,
        "importance": importance,
        "status": "active",
    }
    return row | more


def access(memory: str, day: float, number: int = 0) -> dict[str, Any]:
    return {
        "conversation_id": "c1",
        "access_id": f"{memory}-{number:04}-{day}",
        "memory_id": memory,
        "accessed_at": START + day * DAY,
        "rank": 1,
    }


def fill(warehouse: Warehouse, facts: Sequence[dict[str, Any]], found: Sequence[dict[str, Any]]):
    commit(
        warehouse,
        [
            ChangeSet("facts", inserts=make_rows("facts", facts)),
            ChangeSet("accesses", inserts=make_rows("accesses", found)),
        ],
    )


def heat(warehouse: Warehouse, day: float) -> dict[str, dict[str, Any]]:
    moment = (START + day * DAY).isoformat()
    rows = warehouse.query(f"FROM memory_heat(TIMESTAMPTZ '{moment}')").to_pylist()
    return {row["fact_id"]: row for row in rows}


def tier_by_hand(importance: float, said: float, found: Sequence[float], now: float) -> str:
    """Step through the events: the score decays to each, then rises; the tier follows it."""
    score, time, tier = 50 + 50 * importance, said, "long_term"
    tier = "working" if score >= 85 else tier
    for event, points in [*((max(day, said), 3) for day in sorted(found)), (now, 0)]:
        score *= 0.995 ** (event - time)
        time = event
        tier = "long_term" if tier == "working" and score < 60 else tier
        tier = "archive" if tier == "long_term" and score < 35 else tier
        score += points
        if points:
            tier = "long_term" if tier == "archive" and score >= 65 else tier
            tier = "working" if score >= 85 else tier
    return tier


def test_a_memory_fades_and_an_access_brings_it_back(warehouse: Warehouse) -> None:
    fill(warehouse, [fact("a")], [access("a", 4)])
    before, after = heat(warehouse, 3.5)["a"], heat(warehouse, 4)["a"]
    assert (before["accesses"], after["accesses"]) == (0, 1)
    assert (before["last_access"], after["last_access"]) == (None, START + 4 * DAY)
    assert (before["age_hours"], after["age_hours"], after["idle_hours"]) == (84, 96, 0)
    assert (before["strength"], after["strength"]) == (1.75, 2.75)
    assert before["retention"] == round(math.exp(-3.5 / 1.75), 4)
    assert after["retention"] == 1
    assert after["heat"] == 1 + 1 + 1
    later = heat(warehouse, 5)["a"]
    assert later["retention"] == round(math.exp(-1 / 2.75), 4)
    assert later["heat"] == round(2 + math.exp(-1), 4)


def test_only_what_was_known_by_then(warehouse: Warehouse) -> None:
    """A group of duplicates is one memory, named as `memories_as_of` names it."""
    facts = [
        fact("old", 1, status="duplicate", canonical_id="new"),
        fact("new", 3, status="superseded"),
    ]
    fill(warehouse, facts, [access("new", 5), access("old", 6), access("gone", 6)])
    assert heat(warehouse, 0) == {}
    assert list(heat(warehouse, 2)) == ["old"]
    assert {name: row["accesses"] for name, row in heat(warehouse, 7).items()} == {"new": 2}
    assert heat(warehouse, 7)["new"]["heat"] == round(2 + 2 + math.exp(-1), 4)


def test_tiers_have_a_memory(warehouse: Warehouse) -> None:
    """Between 60 and 85 it is still working where it was, and long-term where it was not."""
    fill(warehouse, [fact("high", importance=0.8), fact("low", importance=0.4)], [])
    assert {n: r["tier"] for n, r in heat(warehouse, 30).items()} == {
        "high": "working",
        "low": "long_term",
    }
    assert {n: r["tier"] for n, r in heat(warehouse, 100).items()} == {
        "high": "long_term",
        "low": "long_term",
    }
    assert {r["tier"] for r in heat(warehouse, 300).values()} == {"archive"}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    with open_warehouse(tmp_path_factory.mktemp("heat") / "w", threads=1) as opened:
        yield opened


days = st.integers(0, 4000).map(lambda hours: hours / 8)


@pytest.mark.slow
@examples(25)
@given(
    st.floats(0, 1).map(lambda x: round(x, 4)),
    days,
    st.one_of(
        st.lists(days, max_size=30),
        st.builds(lambda start, n: [start] * n, days, st.integers(0, 40)),
    ),
    st.integers(0, 9000).map(lambda hours: hours / 8),
)
def test_every_history(
    shared: Warehouse, importance: float, said: float, found: list[float], now: float
) -> None:
    for name in ("facts", "accesses"):
        shared.connection.execute(f"DELETE FROM {name}")
    accesses = [access("a", day, number) for number, day in enumerate(found)]
    fill(shared, [fact("a", said, importance)], accesses)
    rows = heat(shared, now)
    if said > now:
        assert rows == {}
        return
    row, past = rows["a"], [day for day in found if day <= now]
    score = (50 + 50 * importance) * 0.995 ** (now - said)
    score += sum(3 * 0.995 ** (now - max(day, said)) for day in past)
    assert row["score"] == pytest.approx(min(score, 100), abs=1e-3)
    assert row["accesses"] == len(past)
    assert 0 <= row["retention"] <= 1
    if all(abs(score - edge) > 1e-6 for edge in (35, 60, 65, 85)):
        assert row["tier"] == tier_by_hand(importance, said, past, now)


def test_times_far_off_do_not_break_it(warehouse: Warehouse) -> None:
    early = datetime(1, 1, 2, tzinfo=START.tzinfo)
    fill(warehouse, [fact("a", event_time=early)], [access("a", 1)])
    row = heat(warehouse, 2)["a"]
    assert row["score"] == pytest.approx(3 * 0.995, abs=0.01)
    assert row["retention"] < 1
    assert TABLES["accesses"].bookkeeping
