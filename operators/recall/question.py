"""A question, and what every channel reads of it, worked out once."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from operators.base import Vectors
from operators.recall.bm25 import Floats
from operators.recall.terms import terms, words


@dataclass(frozen=True)
class Question:
    """A question with its vector; `asked_at` anchors dates such as "last May"."""

    text: str
    vector: Vectors
    asked_at: datetime | None = None


@dataclass(frozen=True)
class Asked:
    """A question as the channels read it.

    Attributes:
        question: the question itself.
        words: its words, lower case.
        terms: its search terms, without the names of speakers: a speaker's name in a
            message is an address ("Hi Ada!"), which tells who did not say it.
        cosines: cosine with each fact, rounded; NaN for a fact without a vector.
        nearness: the same with what all facts share taken out (`apart.Apart`); NaN: none.
    """

    question: Question
    words: list[str]
    terms: list[str]
    cosines: Floats
    nearness: Floats


def read_question(
    question: Question, names: Collection[str], cosines: Floats, nearness: Floats
) -> Asked:
    """The question read; `names` are the words of the speakers' names."""
    asked = words(question.text)
    query = terms(" ".join(w for w in asked if w not in names))
    return Asked(question, asked, query, cosines, nearness)
