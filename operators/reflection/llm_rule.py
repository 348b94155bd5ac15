"""What is doubted by the judgement of a language model."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from operators.base import Models
from operators.frames import day
from operators.llm.ask import Question, ask
from operators.llm.part import LlmPart
from operators.llm.prompt import Prompt
from operators.reflection.candidates import Candidate, Row, candidates, known, places
from operators.reflection.doubts import Conversation, Doubt, against, distinct, unaccepted

_LINES = 8
_QUOTED = 300


class Judged(BaseModel):
    """The judgement on one numbered line."""

    line: int = Field(ge=1, le=_LINES)
    verdict: Literal["denies", "change", "consistent"]


class Judgements(BaseModel):
    """The model's answer."""

    judged: list[Judged] = Field(max_length=_LINES)


PROMPT = Prompt("reflect", Judgements, max_tokens=320)


class LlmRule(LlmPart, frozen=True):
    """Doubts what a model takes for a denial of what several sessions say.

    It is asked about every value that goes against a well-supported one, also about those
    that the rule `support` lets pass as a change: one candidate a line. Where an answer, or
    a line of it, is missing, that rule decides.

    Attributes:
        min_support: sessions that must agree on the value that stands.
        min_confidence: and how sure its persona must be.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["llm"] = "llm"
    min_support: int = Field(default=3, ge=2)
    min_confidence: float = Field(default=0.7, ge=0, le=1)

    PROMPTS: ClassVar[tuple[Prompt[Any], ...]] = (PROMPT,)

    def read(self, conversations: Sequence[Conversation], models: Models) -> list[list[Doubt]]:
        """Doubts of each conversation; one round trip for all of them."""
        asked = [
            (at, part)
            for at, conversation in enumerate(conversations)
            for part in _parts(self._candidates(conversation))
        ]
        questions = [_question(conversations[at], part) for at, part in asked]
        answers = ask(models, self.llm, PROMPT, questions, objection)
        found: list[list[Doubt]] = [[] for _ in conversations]
        for (at, part), answer in zip(asked, answers, strict=True):
            found[at] += self._doubts(part, answer, conversations[at].facts)
        return [distinct(doubts) for doubts in found]

    def _candidates(self, conversation: Conversation) -> list[Candidate]:
        """Candidates in the order in which they were said: a new one changes the last question."""
        facts = conversation.facts
        place = places(facts)
        found = candidates(conversation.personas, facts, self.min_support, self.min_confidence)
        return sorted(found, key=lambda one: place[one.other.evidence[0]])

    def _doubts(
        self, part: Sequence[Candidate], answer: Judgements | None, facts: Sequence[Row]
    ) -> list[Doubt]:
        verdicts = {one.line: one.verdict for one in reversed(answer.judged if answer else [])}
        out: list[Doubt] = []
        for line, candidate in enumerate(part, start=1):
            verdict = verdicts.get(line)
            if verdict == "denies":
                out += against(candidate, facts, self.llm.model_id)
            elif verdict is None and unaccepted(candidate, facts):
                out += against(candidate, facts)
        return out


def _parts(found: list[Candidate]) -> list[list[Candidate]]:
    """Candidates of one question each."""
    return [found[start : start + _LINES] for start in range(0, len(found), _LINES)]


def objection(question: Question, output: Judgements) -> str | None:
    """What is wrong if no line at all is judged."""
    count = len(question.text.splitlines())
    if any(one.line <= count for one in output.judged):
        return None
    return f"none of the lines 1 to {count} is judged"


def _question(conversation: Conversation, part: Sequence[Candidate]) -> Question:
    lines = [f"[{n}] {_line(one, conversation.facts)}" for n, one in enumerate(part, start=1)]
    return Question(conversation.tenant, conversation.conversation_id, "\n".join(lines))


def _line(candidate: Candidate, facts: Sequence[Row]) -> str:
    """What is known with its support, and the statement; later confirmations as yes or no only.

    So that the question stays the same while they add up.
    """
    place = places(facts)
    held, other = candidate.held, candidate.other
    first, last = facts[place[other.evidence[0]]], facts[place[other.evidence[-1]]]
    before = {
        facts[place[fact_id]]["session_id"]
        for fact_id in held.evidence
        if place[fact_id] < place[first["fact_id"]]
    }
    again = place[held.evidence[-1]] > place[last["fact_id"]]
    since = day(facts[place[held.evidence[0]]]["event_time"])
    told = [first] if first is last or first["text"] == last["text"] else [first, last]
    said = " ".join(f"{day(fact['event_time'])}: {_quoted(fact['text'])}" for fact in told)
    return (
        f"Known: {known(candidate, facts)}, in {len(before)} sessions since {since}, "
        f"{'and again later' if again else 'not said later'}. Statement of {said}"
    )


def _quoted(text: str) -> str:
    """One line, not too long."""
    return " ".join(text.split())[:_QUOTED]
