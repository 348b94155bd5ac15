"""Context: what was said just before and after a result, in the same session."""

from collections.abc import Iterable
from dataclasses import replace

from operators.recall.conversation_index import ConversationIndex
from operators.recall.searcher import Result, Turn


def with_context(results: Iterable[Result], index: ConversationIndex, turns: int) -> list[Result]:
    """Results with the `turns` messages before and after their first source message.

    In event order, the message itself left out; fewer at the ends of a session.
    """
    return [replace(result, context=_around(result, index, turns)) for result in results]


def _around(result: Result, index: ConversationIndex, turns: int) -> tuple[Turn, ...]:
    key = (result.tenant, result.conversation_id, result.source_message_ids[0])
    at = index.number.get(key)
    if at is None:
        return ()
    near = range(max(0, at - turns), min(len(index.messages), at + turns + 1))
    return tuple(
        _turn(index, number)
        for number in near
        if number != at and index.session[number] == index.session[at]
    )


def _turn(index: ConversationIndex, number: int) -> Turn:
    row = index.messages[number]
    return Turn(row["message_id"], row["speaker"], row["timestamp"], row["text"])
