import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.two_turn_cells import TwoTurnCells
from tests.operators.samples import HashModels, message, table


def run(rows, **parameters):
    data = table("messages", [{**row, "session_id": row["session_id"] or "s"} for row in rows])
    return TwoTurnCells(**parameters).run({"messages": data}, HashModels())


def cells(rows, **parameters):
    made = run(rows, **parameters).tables["cells"].to_pylist()
    return sorted(made, key=lambda cell: cell["start_time"])


def chat(speakers, text="hello"):
    return [message(f"m{n:05}", n, name, text) for n, name in enumerate(speakers)]


def test_two_turns_a_cell_and_a_turn_is_a_run_of_one_speaker():
    made = cells(chat("AABBBABA"))
    assert [len(cell["message_ids"]) for cell in made] == [5, 2, 1]
    assert made[0]["speakers"] == ["A", "A", "B", "B", "B"]
    assert made[1]["text"] == "A: hello\nB: hello"


def test_cut_earlier_where_the_text_would_be_too_long():
    made = cells(chat("ABAB", "x" * 50), max_chars=60)
    assert [len(cell["message_ids"]) for cell in made] == [1, 1, 1, 1]


def test_a_longer_message_is_a_cell_of_its_own():
    rows = [*chat("AB"), message("m9", 9, "A", "y" * 500), message("n0", 10, "B", "z")]
    made = cells(rows, max_chars=100)
    assert [len(cell["text"]) > 100 for cell in made] == [False, True, False]


def test_sessions_and_conversations_are_apart():
    rows = [message("a", 0), message("b", 1, "Ben"), message("c", 2, session_id="t")]
    rows.append(message("d", 1, "Ben", conversation_id="other"))
    assert sorted(len(cell["message_ids"]) for cell in cells(rows)) == [1, 1, 2]


def test_messages_without_a_session_are_counted_as_filtered():
    data = table("messages", [message("a", 0), message("b", 1, session_id="s")])
    result = TwoTurnCells().run({"messages": data}, HashModels())
    assert result.counters["filtered"] == 1
    assert result.tables["cells"].num_rows == 1


@given(st.text("ABC", max_size=40), st.integers(1, 4), st.integers(10, 60))
def test_every_message_is_in_one_cell_in_order_and_bounds_hold(speakers, turns, limit):
    made = cells(chat(speakers), turns=turns, max_chars=limit)
    ids = [name for cell in made for name in cell["message_ids"]]
    assert ids == [f"m{n:05}" for n in range(len(speakers))]
    for cell in made:
        changes = sum(a != b for a, b in zip(cell["speakers"], cell["speakers"][1:], strict=False))
        assert changes + 1 <= turns
        assert len(cell["text"]) <= limit or len(cell["message_ids"]) == 1


@pytest.mark.slow
def test_thirty_thousand_messages_take_about_a_second():
    data = table(
        "messages", [{**row, "session_id": "s"} for row in chat("AB" * 15_000, "words " * 20)]
    )
    start = time.process_time()
    TwoTurnCells().run({"messages": data}, HashModels())
    assert time.process_time() - start < 5, "five times the usual, for busy machines"
