"""Persona channel: the evidence of what is known about the person asked about."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from operators.recall.bm25 import Floats, Ints
from operators.recall.terms import STOP_WORDS, stem, words

_ASKS_FOR: Mapping[str, str] = {
    "attribute": "",
    "preference": "like love enjoy favourite favorite prefer hate dislike taste fan",
    "habit": "often usually always routine regularly hobby activity free time relax",
    "relation": "family friend relative",
}
"""Words that ask for a kind of persona, besides the words of its attribute and value."""


class PersonaIndex:
    """Attributes, preferences, habits and relations of people, with the messages they rest on.

    A row is asked for where the question names its person, or is in the first person and
    the person is the user. Its score is its confidence times the share of the question's
    other words that are among its attribute's, its value's, or those that ask for its kind.

    Args:
        personas: rows of `personas`.
        evidence: numbers of the messages of each row's evidence.
        messages: number of messages.
        users: people that "I" stands for.
    """

    def __init__(
        self,
        personas: Sequence[Mapping[str, Any]],
        evidence: Iterable[Ints],
        messages: int,
        users: frozenset[str],
    ):
        self._messages = messages
        self._rows = [
            (
                frozenset(words(row["person"])) - STOP_WORDS,
                row["person"] in users or row["person"].lower() in users,
                _cues(row),
                float(row["confidence"]),
                numbers,
            )
            for row, numbers in zip(personas, evidence, strict=True)
        ]

    def scores(self, asked: Sequence[str], first_person: bool) -> Floats:
        """Best score of the rows that a message is evidence of; 0 for none."""
        out = np.zeros(self._messages)
        named = frozenset(asked)
        for name, is_user, cues, confidence, numbers in self._rows:
            if name & named or (is_user and first_person):
                own = {stem(w) for w in named - name if w not in STOP_WORDS}
                share = len(own & cues) / len(own) if own else 0.0
                out[numbers] = np.maximum(out[numbers], round(confidence * share, 4))
        return out


def _cues(row: Mapping[str, Any]) -> frozenset[str]:
    text = " ".join([row["attribute"].replace("_", " "), row["value"], _ASKS_FOR[row["kind"]]])
    return frozenset(stem(w) for w in words(text) if w not in STOP_WORDS)
