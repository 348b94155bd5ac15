"""Verdicts on pairs of facts by a language model, all conversations in one round."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import Field

from operators.base import Key, Models, Operator, StepResult, Tables
from operators.frames import FACT_ORDER, SCOPE, from_rows, groups, need, values
from operators.llm.ask import Question, ask
from operators.llm.part import LlmPart
from operators.llm.prompt import Prompt
from operators.vectors import TextVectors
from operators.verdicts.candidates import COLUMNS, Candidate, candidates, told
from operators.verdicts.questions import (
    JUDGE_PAIRS,
    MOST_PAIRS,
    PairVerdicts,
    Told,
    VerdictName,
    objection,
    question,
)

_Column = Mapping[str, list[Any]]
_Scope = tuple[Any, ...]


class _Group(NamedTuple):
    """Pairs that are asked together: of one session of the later facts."""

    scope: _Scope
    session_id: str
    pairs: Sequence[Candidate]


class LlmVerdicts(Operator, LlmPart, frozen=True):
    """Ask a model what facts are to earlier ones: once, for three steps that go by it.

    Method: the pair verdicts of Keep Me Updated (arXiv 2210.08750: PASS, REPLACE, APPEND,
    DELETE) and the evolution patterns of PREMem (extension, accumulation, specification,
    transformation, implication) in one question, where published systems ask for duplicates,
    for updates and for relations apart. Deduplication, supersession and relations read the
    table (`judge: verdicts`).

    A fact is compared with its nearest earlier facts of the same speaker in other messages,
    by cosine about the mean of what was said before (names that all facts share say
    nothing); with those that may repeat it, by plain cosine; and with the latest earlier
    fact that gives its attribute another value. What an assistant said, long documents,
    questions and exact repetitions are not asked about. Pairs are asked in groups, in event
    order within the session of the later fact: a session that follows changes no question.

    Input: `facts`, `embeddings` (by hash of the text).
    Output: `verdicts`, one row for each pair that the model judged. A pair whose call failed
    has none: the rules of the steps that read them judge it.
    Errors: `ValueError` for a fact whose text has no vector, or vectors of two models.
    Cost: LLM, one round trip, and one more for answers that cannot be used; about a call for
    `pairs_per_call` pairs. Deterministic given the recorded answers.

    Attributes:
        neighbours: how many near earlier facts a fact is compared with.
        floor: least cosine about the mean of a near fact.
        repetition: least plain cosine of a fact that may say the same again.
        pairs_per_call: pairs in one question.
        max_chars: longest statement in a question; the rest is cut off.
        document_chars: a longer message is a document, which is not asked about.
    """

    operator: Literal["llm_verdicts"] = "llm_verdicts"
    neighbours: int = Field(default=2, ge=1, le=20)
    floor: float = Field(default=0.61, gt=0, le=1)
    repetition: float = Field(default=0.9, gt=0, le=1)
    pairs_per_call: int = Field(default=8, ge=1, le=MOST_PAIRS)
    max_chars: int = Field(default=200, ge=40)
    document_chars: int = Field(default=2000, ge=200)

    READS: ClassVar[tuple[str, ...]] = ("facts", "embeddings")
    WRITES: ClassVar[tuple[str, ...]] = ("verdicts",)
    KEY: ClassVar[Key] = Key.CONVERSATION
    PROMPTS: ClassVar[tuple[Prompt[Any], ...]] = (JUDGE_PAIRS,)

    def run(self, tables: Tables, models: Models) -> StepResult:
        """Ask about the pairs of all conversations of the call at once."""
        facts = need(tables, "facts", self.operator)
        column = {name: values(facts, name) for name in COLUMNS}
        vectors = TextVectors(need(tables, "embeddings", self.operator))
        asked = [
            group
            for scope, rows in groups(facts, SCOPE, FACT_ORDER).items()
            for group in self._groups(scope, rows, column, vectors)
        ]
        judged = self._judged(asked, column, models)
        pairs = sum(len(group.pairs) for group in asked)
        counters = {
            "in": pairs,
            "out": len(judged),
            "filtered": pairs - len(judged),
            "facts": facts.num_rows,
            "questions": len(asked),
        }
        return StepResult({"verdicts": from_rows("verdicts", judged)}, counters)

    def _groups(
        self, scope: _Scope, rows: list[int], column: _Column, vectors: TextVectors
    ) -> list[_Group]:
        """The pairs of a conversation by session, cut into groups from its start on."""
        said = told(rows, column, self.document_chars)
        if not said:
            return []
        stored = vectors.get(scope, [column["text"][row] for row in said])
        limits = (self.neighbours, self.floor, self.repetition)
        sessions: dict[str, list[Candidate]] = {}
        for pair in candidates(said, column, stored, limits):
            sessions.setdefault(column["session_id"][pair.later], []).append(pair)
        return [
            _Group(scope, session, pairs[start : start + self.pairs_per_call])
            for session, pairs in sessions.items()
            for start in range(0, len(pairs), self.pairs_per_call)
        ]

    def _judged(self, asked: list[_Group], column: _Column, models: Models) -> list[dict[str, Any]]:
        """A row for each pair that the model judged."""
        questions = [self._question(group, column) for group in asked]
        sizes = {own: len(group.pairs) for own, group in zip(questions, asked, strict=True)}

        def check(own: Question, output: PairVerdicts) -> str | None:
            return objection(sizes[own], output)

        answers = ask(models, self.llm, JUDGE_PAIRS, questions, check)
        return [
            _row(group.scope, group.pairs[one.pair - 1], one.verdict, column)
            for group, answer in zip(asked, answers, strict=True)
            for one in (answer.verdicts if answer else ())
        ]

    def _question(self, group: _Group, column: _Column) -> Question:
        said = [
            tuple(Told(column["event_time"][row], column["text"][row]) for row in pair[:2])
            for pair in group.pairs
        ]
        tenant, conversation = group.scope
        pairs = [(later, earlier) for later, earlier in said]
        return Question(tenant, conversation, question(pairs, self.max_chars), group.session_id)


def _row(scope: _Scope, pair: Candidate, verdict: VerdictName, column: _Column) -> dict[str, Any]:
    return {
        "tenant": scope[0],
        "conversation_id": scope[1],
        "later_id": column["fact_id"][pair.later],
        "earlier_id": column["fact_id"][pair.earlier],
        "verdict": verdict,
        "score": pair.score,
        "reason": pair.reason,
    }
