"""How claims are read from facts; one reader per `kind`, chosen in YAML."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from operators.base import Models
from operators.personas.claims import Claim, Column, said_by
from operators.personas.habits import habits
from operators.personas.people import is_human, person_name
from operators.personas.relations import relations
from operators.personas.tastes import tastes
from operators.personas.traits import job_ends, text_attributes, triple_claims

Conversation = tuple[tuple[Any, ...], list[int]]
"""Scope, and rows of the facts in event order."""


class RuleReader(BaseModel, frozen=True):
    """Reads claims by rules: the facts' triples, and patterns over what people say themselves.

    Attributes:
        habit_sessions: a deed is a habit once so many sessions tell of it.
        longest: statements of more characters are read by their triple only.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["rules"] = "rules"
    habit_sessions: int = Field(default=3, ge=2)
    longest: int = Field(default=600, ge=40)

    def read(
        self, conversations: Sequence[Conversation], column: Column, models: Models
    ) -> list[list[Claim]]:
        """Claims of each conversation, in event order of their facts."""
        del models
        return [self.claims(rows, column, people_in(rows, column)) for _, rows in conversations]

    def claims(self, rows: Iterable[int], column: Column, people: Collection[str]) -> list[Claim]:
        """Claims of facts of one conversation; `people` are its speakers."""
        out: list[Claim] = []
        for row in rows:
            out += triple_claims(row, column, people)
            speaker, text = column["speaker"][row], column["text"][row]
            if len(text) > self.longest or not is_human(speaker, column["role"][row]):
                continue
            said = said_by(row, person_name(speaker), text)
            out += job_ends(row, said.speaker, text)
            out += text_attributes(said)
            out += relations(said, people)
            out += tastes(said, people)
            out += habits(said)
        return out


def people_in(rows: Iterable[int], column: Column) -> Collection[str]:
    """Those who speak in a conversation, assistants apart."""
    speakers = {(column["speaker"][row], column["role"][row]) for row in rows}
    return {person_name(speaker) for speaker, role in speakers if is_human(speaker, role)}
