"""Profile look-up: a question for one attribute of one person, answered from the personas."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from operators.recall.terms import STOP_WORDS, stem, words
from operators.recall.time_channel import asks_when

LOOKED_UP = (
    "tenant",
    "conversation_id",
    "persona_id",
    "person",
    "kind",
    "attribute",
    "value",
    "evidence",
    "confidence",
    "status",
    "valid_from",
    "valid_to",
)
"""Columns of `personas` that the look-up reads."""

_ASKED_WITH: Mapping[str, str] = {
    "home_city": "live reside home city town place based",
    "employer": "work employer employed company job firm",
    "job_title": "work job occupation profession career role title living",
    "birthday": "birthday born date",
    "age": "old age years",
    "relationship_status": "relationship status single married engaged divorced",
    "partner": "partner wife husband girlfriend boyfriend fiance spouse married",
    "pet": "pet pets dog cat puppy kitten rabbit horse",
    "diet": "diet eat vegetarian vegan",
    "allergy": "allergy allergies allergic",
    "school": "school university college study studied",
    "car": "car drive",
    "sibling": "sibling siblings sister brother",
    "child": "child children kid kids son daughter",
    "language": "language languages speak",
    "hobby": "hobby hobbies",
    "likes": "like love enjoy",
    "dislikes": "dislike hate",
}
"""Words that ask for an attribute, besides those of its name."""

_FILLERS = (
    "name named called current currently now kind type sort tell know remember say said "
    "used former formerly previous previously before earlier"
)
_CARRIERS = frozenset(map(stem, _FILLERS.split()))
_FIRST_PERSON = frozenset({"i", "me", "my", "mine"})
_DATED = frozenset({"birthday", "age"})
_PAST = re.compile(r"\b(?:used to|former(?:ly)?|previous(?:ly)?|before|earlier)\b", re.IGNORECASE)


@dataclass(frozen=True)
class ProfileHit:
    """A row of `personas` that answers, and how sure that is: confidence x share asked for."""

    row: Mapping[str, Any]
    score: float


class ProfileIndex:
    """The personas of one conversation, or several.

    A row answers where the question names its person (or is in the first person, and the
    person is the user) and asks for its attribute. The score is the row's confidence times
    the share of the question's other words that ask for the attribute: a question for more
    than that, such as what happened there, is for the search.

    Deterministic: scores have four digits, ties go by attribute, value and id.

    Args:
        personas: rows with the columns LOOKED_UP, in any order.
        users: who "I" is in a question: speakers with the role of the user.
        as_of: what held at this time counts as current.
    """

    def __init__(
        self,
        personas: Sequence[Mapping[str, Any]],
        users: frozenset[str] = frozenset(),
        as_of: datetime | None = None,
    ):
        self._rows = [(row, _name(row), _cues(row)) for row in personas]
        self._users = users
        self._as_of = as_of

    def look_up(self, question: str, most: int = 1) -> list[ProfileHit]:
        """The best `most` values of the one attribute asked for, best first; [] if none."""
        asked = words(question)
        named = frozenset(asked)
        matched: list[ProfileHit] = []
        for row, name, cues in self._rows:
            is_meant = bool(name & named) or (
                row["person"] in self._users and bool(_FIRST_PERSON & named)
            )
            if is_meant and self._holds(row, question):
                share = _share(asked, name, cues)
                matched.append(ProfileHit(row, round(row["confidence"] * share, 4)))
        matched = sorted((hit for hit in matched if hit.score > 0), key=_order)
        same = [hit for hit in matched if _topic(hit.row) == _topic(matched[0].row)]
        return same[:most] if len({hit.row["person"] for hit in matched}) == 1 else []

    def _holds(self, row: Mapping[str, Any], question: str) -> bool:
        """Whether the row is of the time asked for: what was, or what is."""
        if asks_when(question) and row["attribute"] not in _DATED:
            return False
        former = row["status"] == "former"
        if self._as_of is not None and row["valid_to"] is not None:
            former = row["valid_to"] <= self._as_of
        return former == bool(_PAST.search(question))


def _name(row: Mapping[str, Any]) -> frozenset[str]:
    """Words that name the person; not the "will" of every other question."""
    return frozenset(words(row["person"])) - STOP_WORDS


def _cues(row: Mapping[str, Any]) -> frozenset[str]:
    name = row["attribute"].replace("_", " ")
    return frozenset(map(stem, words(f"{name} {_ASKED_WITH.get(row['attribute'], '')}")))


def _share(asked: Sequence[str], name: frozenset[str], cues: frozenset[str]) -> float:
    """Share of the question's own words that ask for the attribute."""
    own = {stem(word) for word in asked if word not in STOP_WORDS and word not in name}
    own -= _CARRIERS
    return len(own & cues) / len(own) if own else 0.0


def _topic(row: Mapping[str, Any]) -> tuple[str, ...]:
    return row["tenant"], row["conversation_id"], row["person"], row["attribute"]


def _order(hit: ProfileHit) -> tuple[Any, ...]:
    row = hit.row
    return -hit.score, row["attribute"], row["value"], row["persona_id"]
