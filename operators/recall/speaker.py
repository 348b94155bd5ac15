"""Speaker channel: who the question says spoke."""

from collections.abc import Sequence

import numpy as np

from operators.recall.bm25 import Floats, Ints
from operators.recall.terms import words

_FIRST_PERSON = frozenset({"i", "me", "my", "mine", "we", "our", "us"})
_ASSISTANT = "assistant"
_USER = "user"


class SpeakerIndex:
    """Speakers and roles of the messages.

    With an assistant in the conversation, "I" and "my" in a question are its user.
    """

    def __init__(self, speakers: Sequence[str], roles: Sequence[str | None]):
        generic = {_USER, _ASSISTANT}
        self.names = {s: frozenset(words(s)) for s in set(speakers) if s.lower() not in generic}
        self._speakers = np.array(speakers, dtype=object)
        self.all = sorted(set(speakers))
        place = {name: number for number, name in enumerate(self.all)}
        self.number: Ints = np.array([place[s] for s in speakers], np.int64)
        with_assistant = _ASSISTANT in roles
        self._user = np.array([float(with_assistant and r == _USER) for r in roles])

    def numbers(self, question: Sequence[str]) -> Ints:
        """Numbers (places in `all`) of the speakers whose names are in the question's words."""
        asked = set(question)
        hits = [i for i, s in enumerate(self.all) if self.names.get(s, frozenset()) & asked]
        return np.array(hits, np.int64)

    def named(self, question: Sequence[str]) -> Floats:
        """1 for messages of a speaker whose name is in the question's words, else 0."""
        asked = set(question)
        hits = {s for s, name in self.names.items() if name and (name & asked)}
        return np.array([float(s in hits) for s in self._speakers])

    def first_person(self, question: Sequence[str]) -> Floats:
        """1 for the user's messages when the question is in the first person, else 0."""
        return self._user if is_first_person(question) else np.zeros_like(self._user)


def is_first_person(question: Sequence[str]) -> bool:
    """Whether the question's words speak of who asks."""
    return bool(_FIRST_PERSON & set(question))
