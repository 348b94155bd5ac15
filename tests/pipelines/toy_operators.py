"""Invented operators, as small as the pipeline machinery lets them be."""

from datetime import UTC, datetime
from typing import Annotated, ClassVar, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from operators.base import Cost, Key, Models, Operator, StepResult, Tables
from schemas.tables import TABLES


class ToySessions(Operator, frozen=True):
    """One session per conversation."""

    operator: Literal["toy_sessions"] = "toy_sessions"
    gap_hours: int = Field(default=6, ge=1)

    READS: ClassVar[tuple[str, ...]] = ("messages",)
    WRITES: ClassVar[tuple[str, ...]] = ("sessions", "messages.session_id")
    KEY: ClassVar[Key] = Key.CONVERSATION

    def run(self, tables: Tables, models: Models) -> StepResult:
        messages = tables["messages"]
        place = messages.schema.get_field_index("session_id")
        named = messages.set_column(
            place, messages.schema.field(place), messages.column("conversation_id")
        )
        return StepResult({"sessions": TABLES["sessions"].empty(), "messages": named})


class ToyCells(Operator, frozen=True):
    """A cell per message."""

    operator: Literal["toy_cells"] = "toy_cells"
    turns: int = Field(default=2, ge=1)

    READS: ClassVar[tuple[str, ...]] = ("messages",)
    WRITES: ClassVar[tuple[str, ...]] = ("cells",)
    KEY: ClassVar[Key] = Key.SESSION

    def run(self, tables: Tables, models: Models) -> StepResult:
        assert tables["messages"].column("session_id").null_count == 0
        return StepResult({"cells": tables["messages"].select(["text"])})


class Short(BaseModel):
    """One kind of wording."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: Literal["short"] = "short"
    words: int = 5


class Full(BaseModel):
    """Another kind of wording."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: Literal["full"] = "full"


class ToyFacts(Operator, frozen=True):
    """A fact per cell."""

    operator: Literal["toy_facts"] = "toy_facts"
    style: Literal["plain", "fancy"] = "plain"
    wording: Annotated[Short | Full, Field(discriminator="kind")] = Short()
    kinds: tuple[str, ...] = ()

    READS: ClassVar[tuple[str, ...]] = ("cells", "messages")
    WRITES: ClassVar[tuple[str, ...]] = ("facts",)
    KEY: ClassVar[Key] = Key.SESSION

    def run(self, tables: Tables, models: Models) -> StepResult:
        return StepResult({"facts": tables["cells"]})


class ToyEmbed(Operator, frozen=True):
    """Embeds fact texts."""

    operator: Literal["toy_embed"] = "toy_embed"
    batch: int = 8

    READS: ClassVar[tuple[str, ...]] = ("facts.text",)
    WRITES: ClassVar[tuple[str, ...]] = ("embeddings", "artifacts")
    KEY: ClassVar[Key] = Key.TEXT
    COST: ClassVar[Cost] = Cost.EMBEDDING
    RUNTIME_FIELDS: ClassVar[frozenset[str]] = frozenset({"batch"})

    def run(self, tables: Tables, models: Models) -> StepResult:
        models.embed(tables["facts"].column("text").to_pylist(), "toy")
        empty = {name: TABLES[name].empty() for name in ("embeddings", "artifacts")}
        return StepResult(empty)


class ToyJudge(Operator, frozen=True):
    """Judges facts."""

    operator: Literal["toy_judge"] = "toy_judge"
    threshold: float = Field(default=0.9, gt=0, le=1)
    exact: bool = True

    READS: ClassVar[tuple[str, ...]] = ("facts", "embeddings")
    WRITES: ClassVar[tuple[str, ...]] = ("facts.status", "links")
    KEY: ClassVar[Key] = Key.CONVERSATION

    def run(self, tables: Tables, models: Models) -> StepResult:
        raise AssertionError("no model call depends on this step: it must not be run")


class ToyTitles(Operator, frozen=True):
    """Retells sessions from fact texts alone."""

    operator: Literal["toy_titles"] = "toy_titles"

    READS: ClassVar[tuple[str, ...]] = ("facts.text",)
    WRITES: ClassVar[tuple[str, ...]] = ("episodes",)
    KEY: ClassVar[Key] = Key.CONVERSATION


class ToyEntities(Operator, frozen=True):
    """Indexes names."""

    operator: Literal["toy_entities"] = "toy_entities"

    READS: ClassVar[tuple[str, ...]] = ("facts", "messages")
    WRITES: ClassVar[tuple[str, ...]] = ("entities", "mentions")
    KEY: ClassVar[Key] = Key.CONVERSATION


class ToyReset(Operator, frozen=True):
    """Sets the status of facts without looking at it."""

    operator: Literal["toy_reset"] = "toy_reset"

    READS: ClassVar[tuple[str, ...]] = ("facts.text",)
    WRITES: ClassVar[tuple[str, ...]] = ("facts.status",)
    KEY: ClassVar[Key] = Key.CONVERSATION


TOYS = (
    ToySessions,
    ToyCells,
    ToyFacts,
    ToyEmbed,
    ToyJudge,
    ToyTitles,
    ToyEntities,
    ToyReset,
)

TOY_YAML = """\
version: 1
name: toy
steps:
  - id: sessions
    operator: toy_sessions
  - id: cells
    operator: toy_cells
    turns: 2
  - id: extract
    operator: toy_facts
  - id: embed
    operator: toy_embed
  - id: judge
    operator: toy_judge
    threshold: 0.9
  - id: titles
    operator: toy_titles
  - id: entities
    operator: toy_entities
"""


def toy_messages(texts: list[str], conversation: str = "c1") -> pa.Table:
    """A `messages` table with these texts."""
    rows = [
        {
            "tenant": "default",
            "conversation_id": conversation,
            "message_id": f"m{number}",
            "content_hash": f"h{number}",
            "revision": 0,
            "is_current": False,
            "conflict": False,
            "speaker": "Mira",
            "timestamp": datetime(2024, 5, 1, 12, number % 60, tzinfo=UTC),
            "seq": 0,
            "text": text,
        }
        for number, text in enumerate(texts)
    ]
    return pa.Table.from_pylist(rows, schema=TABLES["messages"].schema)
