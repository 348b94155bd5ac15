from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from operators.recall.context import with_context
from operators.recall.conversation_index import SEARCHED, ConversationIndex
from operators.recall.searcher import Result
from schemas.tables import TABLES
from tests.effort import examples
from tests.operators.samples import at, message, shuffled, table


def index_of(sessions: list[str]) -> ConversationIndex:
    rows = [message(f"m{n}", n, session_id=name) for n, name in enumerate(sessions)]
    tables = {name: TABLES[name].empty() for name in SEARCHED}
    return ConversationIndex(tables | {"messages": shuffled(table("messages", rows), 3)})


def found(message_id: str) -> Result:
    return Result(1, 1.0, "message", message_id, "text", at(0), [message_id, "m0"], "c")


def around(index: ConversationIndex, message_id: str, turns: int) -> list[str]:
    (result,) = with_context([found(message_id)], index, turns)
    return [turn.message_id for turn in result.context or ()]


def test_before_and_after_in_the_same_session() -> None:
    index = index_of(["a", "a", "a", "b", "b"])
    assert around(index, "m1", 1) == ["m0", "m2"]
    assert around(index, "m2", 2) == ["m0", "m1"]
    assert around(index, "m3", 5) == ["m4"]
    (result,) = with_context([found("m4")], index, 1)
    assert result.as_json()["context"] == [
        {
            "message_id": "m3",
            "speaker": "Ann",
            "timestamp": "2024-01-01T00:03:00Z",
            "text": "text of m3",
        }
    ]
    assert "context" not in found("m4").as_json()


def test_a_message_that_is_not_there_has_no_context() -> None:
    index = index_of(["a"])
    assert around(index, "gone", 2) == []
    (result,) = with_context([replace(found("m0"), tenant="other")], index, 1)
    assert result.context == ()


@examples(60)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=5), st.integers(0, 6), st.data())
def test_as_many_as_there_are(lengths: list[int], turns: int, data: st.DataObject) -> None:
    sessions = [f"s{n}" for n, length in enumerate(lengths) for _ in range(length)]
    index = index_of(sessions)
    place = data.draw(st.integers(0, len(sessions) - 1))
    expected = [
        f"m{n}"
        for n, session in enumerate(sessions)
        if session == sessions[place] and 0 < abs(n - place) <= turns
    ]
    assert around(index, f"m{place}", turns) == expected
