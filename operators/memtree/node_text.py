"""What a summarizer is told about the nodes of all trees, and what it writes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from operators.base import Models

Scope = Literal["session", "entity", "scene", "conversation"]

_WORD = re.compile(r"[^\W_]{2,}(?:['’][^\W_]+)?")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_STOP_WORDS = _words(
    "a about after all also am an and any are as at be because been before being but by can "
    "could did do does doing don't for from get go going got had has have having he her here "
    "him his how i'm if in into is it it's its just like me more my no not now of off on one "
    "or our out really said say says she so some than that that's the their them then there "
    "these they this time to too up us very was we went were what when where which while who "
    "why will with would you your"
)


@dataclass(frozen=True, slots=True)
class Sentence:
    """The statement of one fact, with its content words; equal words are equal sentences.

    Attributes:
        text: in one line.
        words: of content, lower case.
        time: of the event, in microseconds since 1970 UTC, where known.
    """

    text: str
    words: frozenset[str]
    time: int | None = field(default=None, compare=False)

    @classmethod
    def of(cls, text: str, time: int | None = None) -> "Sentence":
        """Split off the content words."""
        words = frozenset(_WORD.findall(text.casefold())) - _STOP_WORDS
        return cls(" ".join(text.split()), words, time)


@dataclass(frozen=True, eq=False)
class NodeText:
    """A node of one or several trees of a conversation, and what stands below it.

    Attributes:
        tenant: owner of the conversation.
        conversation_id: the conversation.
        level: 1 above the leaves.
        is_closed: false where a later fact may still come in: on the right edge.
        statements: of the leaves in time order, at level 1; empty above.
        children: in time order, above level 1; empty there.
        scopes: of the trees that it is in.
        root_of: of those that it is the root of.
    """

    tenant: str
    conversation_id: str
    level: int
    is_closed: bool
    statements: tuple[Sentence, ...]
    children: tuple["NodeText", ...]
    scopes: frozenset[Scope]
    root_of: frozenset[Scope]


class Written(NamedTuple):
    """The summary of a node, and what wrote it: the column `summarizer`."""

    text: str
    by: str


class Summarizer(Protocol):
    """Writes the summaries of nodes; part of the YAML of the step, chosen by `kind`."""

    def write(self, nodes: Sequence[NodeText], models: Models) -> list[Written]:
        """A summary of each node, in order; `nodes` holds children before their parents.

        What is written about a node is a function of the node alone, given the recorded
        answers: never of the other nodes of the call, nor of their order.
        """
        ...
