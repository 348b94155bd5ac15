"""The messages that an episode rests on."""

from collections.abc import Mapping, Sequence
from typing import Any


def source_messages(
    chosen: Sequence[int], rows: Sequence[int], column: Mapping[str, Sequence[Any]]
) -> list[str]:
    """Messages of the chosen facts in event order; `rows` are all of the session's, in order.

    One that has no statement of its own is a question that was answered: just before.
    """
    order = {column["message_id"][row]: place for place, row in enumerate(rows)}
    places: dict[str, float] = {}
    for row in chosen:
        main = order[column["message_id"][row]]
        for message_id in column["source_message_ids"][row]:
            places.setdefault(message_id, order.get(message_id, main - 0.5))
    return sorted(places, key=lambda message_id: (places[message_id], message_id))
