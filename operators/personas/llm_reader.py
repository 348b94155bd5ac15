"""How claims are read from facts by a language model."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import chain
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from operators.base import Models
from operators.llm.ask import Question, ask
from operators.llm.part import LlmPart
from operators.llm.prompt import Prompt
from operators.personas.chunks import Chunk, chunks, read_by_model
from operators.personas.claims import Claim, Column, Kind, said_by
from operators.personas.habits import habits
from operators.personas.model_claims import claim_of, known_person
from operators.personas.people import is_human, person_name
from operators.personas.reading import Conversation, RuleReader, people_in
from operators.personas.traits import triple_claims


class ReadTrait(BaseModel):
    """A trait as the model tells it."""

    line: int = Field(ge=1, le=400)
    person: str = Field(max_length=40)
    kind: Kind
    attribute: str = Field(max_length=40)
    value: str = Field(max_length=80)
    ended: bool = False
    also: list[Annotated[int, Field(ge=1, le=400)]] = Field(default_factory=list[int], max_length=8)


class ReadTraits(BaseModel):
    """The model's answer on one chunk."""

    traits: list[ReadTrait] = Field(max_length=16)


PROMPT = Prompt("read_personas", ReadTraits, max_tokens=1_200)


class LlmReader(LlmPart, frozen=True):
    """Reads claims by a model: one question for each chunk of sessions.

    Of each session only the statements are sent that may tell of a person; what deduplication
    set aside is not sent again, but confirms what its first wording claims. Taken in besides
    are the facts' triples, and the deeds that several sessions tell of: no chunk shows those
    alone. Where an answer cannot be used, the rules read the chunk.

    Attributes:
        habit_sessions: a deed is a habit once so many sessions tell of it.
        longest: statements of more characters are read by their triple only, by the rules.
        share: most of a session's facts that are sent, as a share; the most telling ones.
        statements: a question ends with the session in which it has so many lines; at most
            twice as many.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["llm"] = "llm"
    habit_sessions: int = Field(default=3, ge=2)
    longest: int = Field(default=600, ge=40)
    share: float = Field(default=0.3, gt=0, le=1)
    statements: int = Field(default=40, ge=1, le=200)

    PROMPTS: ClassVar[tuple[Prompt[Any], ...]] = (PROMPT,)

    def read(
        self, conversations: Sequence[Conversation], column: Column, models: Models
    ) -> list[list[Claim]]:
        """Claims of each conversation; one round trip for all of them."""
        cut = [chunks(rows, column, self.share, self.statements) for _, rows in conversations]
        asked = [
            (scope, chunk)
            for (scope, _), parts in zip(conversations, cut, strict=True)
            for chunk in parts
            if chunk.sent
        ]
        questions = [Question(scope[0], scope[1], chunk.text) for scope, chunk in asked]
        answers = ask(models, self.llm, PROMPT, questions, objection)
        told = {id(chunk): answer for (_, chunk), answer in zip(asked, answers, strict=True)}
        return [
            self._claims(rows, [(part, told.get(id(part))) for part in parts], column)
            for (_, rows), parts in zip(conversations, cut, strict=True)
        ]

    def _claims(
        self, rows: list[int], parts: list[tuple[Chunk, ReadTraits | None]], column: Column
    ) -> list[Claim]:
        """Claims of one conversation from its chunks and their answers."""
        people = people_in(rows, column)
        by_rules = RuleReader(habit_sessions=self.habit_sessions, longest=self.longest)
        told: dict[int, list[Claim]] = {}
        besides: dict[int, list[Claim]] = {}
        for chunk, answer in parts:
            if answer is None and chunk.sent:
                for row in chunk.rows:
                    told[row] = by_rules.claims([row], column, people)
                continue
            for claim in _model_claims(chunk, answer, column, people) if answer else ():
                told.setdefault(claim.row, []).append(claim)
            for row in chunk.rows:
                besides[row] = self._besides(row, column, people)
        _confirm(besides, told, column)
        # The model's claim before a triple's that says the same: the first one counts.
        return list(chain(*(told.get(row, []) + besides.get(row, []) for row in rows)))

    def _besides(self, row: int, column: Column, people: Collection[str]) -> list[Claim]:
        """What needs no model: the fact's triple, and deeds that count by repetition only."""
        if read_by_model(row, column):
            out = _triple_of_model(row, column, people)
        else:
            out = list(triple_claims(row, column, people))
        speaker, text = column["speaker"][row], column["text"][row]
        if len(text) <= self.longest and is_human(speaker, column["role"][row]):
            said = said_by(row, person_name(speaker), text)
            out += [claim for claim in habits(said) if claim.repeated]
        return out


def objection(question: Question, output: ReadTraits) -> str | None:
    """What is wrong if no trait at all can be used; single odd ones are left out later."""
    count = len(question.text.splitlines())
    low = question.text.casefold()
    good = [t for t in output.traits if t.line <= count and t.person.casefold() in low and t.value]
    if good or not output.traits:
        return None
    return f"no trait has a line from 1 to {count}, a person named in the lines, and a value"


def _triple_of_model(row: int, column: Column, people: Collection[str]) -> list[Claim]:
    """The claim of a triple that a model wrote, which may name the attribute in its own way."""
    person = known_person(column["subject"][row], row, column, people)
    told: tuple[Kind, str, str] = (
        "attribute", column["attribute"][row], column["value"][row] or "",
    )  # fmt: skip
    claim = claim_of(row, person, told, column, ended=False) if person else None
    if claim is not None:
        return [claim]
    # What somebody is responsible for has a subject that is no person.
    return [replace(one, made_by="llm") for one in triple_claims(row, column, people)]


def _model_claims(
    chunk: Chunk, answer: ReadTraits, column: Column, people: Collection[str]
) -> list[Claim]:
    """The usable claims of an answer: known person, known line, a value that says something."""
    out: list[Claim] = []
    for trait in answer.traits:
        lines = dict.fromkeys(n for n in (trait.line, *trait.also) if 0 < n <= len(chunk.sent))
        for line in lines if trait.line in lines else ():
            row = chunk.sent[line - 1][0]
            person = known_person(trait.person, row, column, people)
            told = (trait.kind, trait.attribute, trait.value)
            claim = person and claim_of(row, person, told, column, ended=trait.ended)
            if claim:
                out.append(claim)
    return out


def _confirm(rows: Collection[int], told: dict[int, list[Claim]], column: Column) -> None:
    """Give repetitions among `rows` the claims that were read from their first wording."""
    row_of = {column["fact_id"][row]: row for row in sorted(told)}
    for row in rows:
        first = row_of.get(column["canonical_id"][row])
        if column["status"][row] == "duplicate" and first is not None and row not in told:
            said = (claim for claim in told[first] if not claim.from_triple)
            told[row] = [replace(claim, row=row) for claim in said]
