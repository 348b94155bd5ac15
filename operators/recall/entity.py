"""Entity channel: messages, and sessions, that mention what the question names."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from operators.recall.bm25 import Floats, Ints
from operators.recall.terms import STOP_WORDS, words

_PERSON = "person"
_Name = tuple[str, ...]


class EntityMentions:
    """Which message and session mentions which entity, by the entity's names.

    A name is a name or an alias of the entity, compared without case and possessive as a
    run of whole words: "Grand Canyon's" in a question finds "grand canyon", and "Ann Lee"
    finds what "Ann" stands for. Speakers are left to the speaker channel: nearly every
    message is by or to one of them, so a mention says nothing.

    An entity counts by how rare it is: ln(1 + (N - n + 0.5) / (n + 0.5)) with n of the N
    messages (or sessions) mentioning it, the idf of BM25.

    Args:
        entities: rows of `entities`.
        mentions: (entity_id, number of the message) of each row of `mentions`.
        session: number of the session of each message.
    """

    def __init__(
        self,
        entities: Iterable[Mapping[str, Any]],
        mentions: Iterable[tuple[str, int]],
        session: Ints,
    ):
        self._session = session
        self._messages = session.size
        self._sessions = int(session.max()) + 1 if session.size else 0
        self._mentioned = _numbers(mentions)
        self._named: dict[_Name, set[str]] = {}
        for entity in entities:
            if entity["kind"] != _PERSON and entity["entity_id"] in self._mentioned:
                for alias in (entity["name"], *entity["aliases"]):
                    self._add(tuple(words(alias)), entity["entity_id"])
        self._longest = max(map(len, self._named), default=0)

    def _add(self, name: _Name, entity_id: str) -> None:
        if not STOP_WORDS.issuperset(name):  # "It" and "The Who" are no words to look for
            self._named.setdefault(name, set()).add(entity_id)

    def named(self, question: Sequence[str]) -> list[str]:
        """Ids of the entities that the question's words name, sorted."""
        found: set[str] = set()
        for size in range(1, self._longest + 1):
            for start in range(len(question) - size + 1):
                found |= self._named.get(tuple(question[start : start + size]), set())
        return sorted(found)

    def scores(self, entity_ids: Iterable[str]) -> tuple[Floats, Floats]:
        """Per message, the summed weight of the entities in it, and in its session."""
        by_message, by_session = np.zeros(self._messages), np.zeros(self._sessions)
        for entity_id in entity_ids:
            numbers = self._mentioned[entity_id]
            by_message[numbers] += _rarity(numbers.size, self._messages)
            places = np.unique(self._session[numbers])
            by_session[places] += _rarity(places.size, self._sessions)
        return by_message, by_session[self._session]


def _numbers(mentions: Iterable[tuple[str, int]]) -> dict[str, Ints]:
    found: dict[str, set[int]] = {}
    for entity_id, number in mentions:
        found.setdefault(entity_id, set()).add(number)
    return {name: np.array(sorted(numbers), np.int64) for name, numbers in found.items()}


def _rarity(number: int, total: int) -> float:
    return float(np.log(1 + (total - number + 0.5) / (number + 0.5)))
