from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.gap_sessions import GapSessions
from tests.operators.samples import HashModels, message, table


def cut(rows, gap="6h"):
    """Message ids by session, and the tables."""
    made = GapSessions(gap=gap).run({"messages": table("messages", rows)}, HashModels()).tables
    by_session: dict[str, list[str]] = {}
    for row in made["messages"].to_pylist():
        by_session.setdefault(row["session_id"], []).append(row["message_id"])
    return by_session, made


def groups(rows, gap="6h"):
    by_session, _ = cut(rows, gap)
    return sorted(sorted(members) for members in by_session.values())


def test_a_gap_longer_than_the_limit_cuts():
    rows = [message("a", 0), message("b", 360), message("c", 721)]
    assert groups(rows) == [["a", "b"], ["c"]]


def test_a_late_message_joins_two_sessions_and_the_id_is_the_first_messages():
    early, late, between = message("a", 0), message("c", 600), message("b", 300)
    assert groups([early, late]) == [["a"], ["c"]]
    assert groups([early, late, between]) == [["a", "b", "c"]]
    before, _ = cut([early, late])
    after, _ = cut([early, late, between])
    assert set(after) < set(before), "the joined session keeps the id of the first"


def test_declared_sessions_are_never_cut_and_do_not_bridge_the_others():
    rows = [
        message("a", 0),
        message("g1", 200, given_session_id="x"),
        message("g2", 99_999, given_session_id="x"),
        message("b", 400),
    ]
    assert groups(rows) == [["a"], ["b"], ["g1", "g2"]]


def test_a_correction_changes_the_content_hash_and_not_the_id():
    _, before = cut([message("a", 0, text="one"), message("b", 1)])
    _, after = cut([message("a", 0, text="two"), message("b", 1)])
    first, second = (t["sessions"].to_pylist()[0] for t in (before, after))
    assert first["session_id"] == second["session_id"]
    assert first["content_hash"] != second["content_hash"]


def test_versions_that_are_not_current_pass_through_without_a_session():
    rows = [message("a", 0), message("a", 0, text="old", is_current=False)]
    by_session, made = cut(rows)
    assert by_session.keys() > {None}
    assert made["sessions"].to_pylist()[0]["message_count"] == 1


def test_columns():
    _, made = cut([message("b", 5, "Ben"), message("a", 5, "Ann"), message("c", 9, "Ann")])
    (row,) = made["sessions"].to_pylist()
    assert (row["first_message_id"], row["last_message_id"]) == ("a", "c")
    assert row["speakers"] == ["Ann", "Ben"]
    assert row["end_time"] - row["start_time"] == timedelta(minutes=4)
    assert row["given_session_id"] is None


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=30), st.integers(1, 600))
def test_equal_to_a_plain_scan(minutes, gap):
    rows = [message(f"m{number:02}", minute) for number, minute in enumerate(minutes)]
    expected: list[list[str]] = []
    last = None
    for row in sorted(rows, key=lambda row: (row["timestamp"], row["message_id"])):
        if last is None or row["timestamp"] - last > timedelta(minutes=gap):
            expected.append([])
        expected[-1].append(row["message_id"])
        last = row["timestamp"]
    assert groups(rows, timedelta(minutes=gap)) == sorted(sorted(members) for members in expected)


def test_a_gap_without_a_unit_is_refused():
    with pytest.raises(ValueError, match="needs a unit"):
        GapSessions(gap=6)
