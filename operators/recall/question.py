"""A question, and what every channel reads of it, worked out once."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from operators.base import Vectors
from operators.recall.bm25 import Floats
from operators.recall.focus import focus
from operators.recall.terms import terms, words


@dataclass(frozen=True)
class Question:
    """A question with the vector of its `focus`; `asked_at` anchors dates such as "last May"."""

    text: str
    vector: Vectors
    asked_at: datetime | None = None


@dataclass(frozen=True)
class Asked:
    """A question as the channels read it.

    Attributes:
        question: the question itself.
        words: its words, lower case.
        terms: search terms of what it is about (see `focus`), without the names of
            speakers: a speaker's name in a message is an address ("Hi Ada!"), which tells
            who did not say it.
        cosines: cosine with each fact, rounded; NaN for a fact without a vector.
        rest: what is left of its vector without what all facts share (`apart.Apart`).
        nearness: cosine of that with what is left of each fact; NaN: none.
    """

    question: Question
    words: list[str]
    terms: list[str]
    cosines: Floats
    rest: Vectors
    nearness: Floats


def read_question(
    question: Question, names: Collection[str], cosines: Floats, rest: Vectors, nearness: Floats
) -> Asked:
    """The question read; `names` are the words of the speakers' names."""
    asked = words(question.text)
    query = terms(" ".join(w for w in words(focus(question.text)) if w not in names))
    return Asked(question, asked, query, cosines, rest, nearness)
