"""Facts that a well-supported persona speaks against."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from operators.base import Models
from operators.personas.timeline import announces_change
from operators.reflection.candidates import (
    TASTES,
    Candidate,
    Row,
    Value,
    candidates,
    known,
    places,
)


@dataclass(frozen=True)
class Doubt:
    """A fact, why it is doubted, and the evidence that speaks against it."""

    fact_id: str
    reason: str
    against: str
    score: float


@dataclass(frozen=True)
class Conversation:
    """Personas of one conversation, and its facts in event order."""

    tenant: str
    conversation_id: str
    personas: Sequence[Row]
    facts: Sequence[Row]


class SupportRule(BaseModel, frozen=True):
    """Doubts what is said in one session against what several sessions say.

    A statement is doubted if it gives another value than one that `min_support` sessions
    give with `min_confidence`, came after the first of them, and was not taken as a change:
    it announces none ("moved", "my new job"), a later session was there to confirm it and
    did not, no other session so much as names its value, and no third value followed.

    Attributes:
        min_support: sessions that must agree on the value that stands.
        min_confidence: and how sure its persona must be.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["support"] = "support"
    min_support: int = Field(default=3, ge=2)
    min_confidence: float = Field(default=0.7, ge=0, le=1)

    def read(self, conversations: Sequence[Conversation], models: Models) -> list[list[Doubt]]:
        """Doubts of each conversation."""
        del models
        return [self.doubts(conversation) for conversation in conversations]

    def doubts(self, conversation: Conversation) -> list[Doubt]:
        """Doubts of one conversation."""
        facts = conversation.facts
        found = candidates(conversation.personas, facts, self.min_support, self.min_confidence)
        return distinct(
            doubt for one in found if unaccepted(one, facts) for doubt in against(one, facts)
        )


def unaccepted(candidate: Candidate, facts: Sequence[Row]) -> bool:
    """Whether nothing takes the other value as a change: what the rule doubts."""
    held, other = candidate.held, candidate.other
    if len(other.sessions) != 1:
        return False
    place = places(facts)
    last = place[other.evidence[-1]]
    said = [facts[place[fact_id]] for fact_id in other.evidence]
    session = other.sessions[0]
    third = [v for v in candidate.values if v is not held and v is not other]
    return (
        session not in held.sessions
        and any(fact["session_id"] != session for fact in facts[last + 1 :])
        and not any(announces_change(fact["text"]) for fact in said)
        and not any(place[v.evidence[-1]] > last for v in third)
        and not _named_elsewhere(other, session, facts)
    )


def distinct(found: Iterable[Doubt]) -> list[Doubt]:
    """The first doubt of each fact, by fact."""
    first: dict[str, Doubt] = {}
    for doubt in found:
        first.setdefault(doubt.fact_id, doubt)
    return sorted(first.values(), key=lambda doubt: doubt.fact_id)


def _named_elsewhere(other: Value, session: str, facts: Sequence[Row]) -> bool:
    """Whether another session names the value; a liking's value is the liked thing itself."""
    if other.attribute in TASTES:
        return False
    word = re.compile(rf"(?<!\w){re.escape(other.value.split(',')[0])}(?!\w)", re.IGNORECASE)
    return any(
        fact["session_id"] != session and word.search(fact["text"]) is not None for fact in facts
    )


def against(candidate: Candidate, facts: Sequence[Row], judge: str = "") -> list[Doubt]:
    """A doubt of every fact of the other value, against the most important evidence.

    `judge` is who took it for a denial, where that was not the rule.
    """
    place = places(facts)
    held, other = candidate.held, candidate.other
    strongest = max(held.evidence, key=lambda f: (facts[place[f]]["importance"], -place[f]))
    this = other.attribute if held.attribute in TASTES else other.value
    often = "once" if len(other.sessions) == 1 else f"in {len(other.sessions)} sessions"
    reason = f"{known(candidate, facts)} in {len(held.sessions)} sessions; this says {this} {often}"
    reason += f", a denial by the judgement of {judge}" if judge else ""
    return [Doubt(f, reason, strongest, held.confidence) for f in other.evidence]
