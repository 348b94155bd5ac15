"""A pair of facts, and what is said of it."""

from collections.abc import Callable
from typing import Literal, NamedTuple

from operators.relations.statement import Statement

Relation = Literal[
    "contradicts", "transforms", "causes", "implies", "refines", "accumulates", "extends"
]

STRENGTH: tuple[Relation, ...] = (
    "contradicts",
    "transforms",
    "causes",
    "implies",
    "refines",
    "accumulates",
    "extends",
)
"""Relations from the strongest on: a pair has the first that holds."""


class Pair(NamedTuple):
    """Two facts of one conversation."""

    earlier: Statement
    later: Statement
    cosine: float
    """Four digits."""
    neighbours: bool
    """They follow each other in one message, or in two messages of one speaker in a cell."""
    superseded: bool
    """The later has ended the validity of the earlier."""
    recorded: str | None = None
    """What a model said of the pair, where it was asked (`verdicts.verdict`)."""

    @property
    def one_voice(self) -> bool:
        """Said by the same person, in two messages."""
        return (
            self.earlier.speaker == self.later.speaker
            and self.earlier.message_id != self.later.message_id
        )


class Verdict(NamedTuple):
    """A relation, the score it rests on and the name of the evidence."""

    type: Relation
    score: float
    method: str


Rule = Callable[[Pair], Verdict | None]
