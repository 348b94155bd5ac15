"""Facts that a well-supported persona speaks against."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from operators.personas.people import person_key
from operators.personas.tastes import taste_key
from operators.personas.timeline import announces_change, same_value
from operators.personas.traits import value_key

Row = Mapping[str, Any]

# Not age and job titles: they change by themselves, or are worded in many ways.
_LASTING = frozenset(
    {"home_city", "employer", "birthday", "partner", "relationship_status", "diet", "car"}
)
_TASTES = ("likes", "dislikes")


@dataclass(frozen=True)
class Doubt:
    """A fact, why it is doubted, and the evidence that speaks against it."""

    fact_id: str
    reason: str
    against: str
    score: float


@dataclass(frozen=True)
class _Value:
    """A value of one person's attribute: all its persona rows taken together."""

    attribute: str
    value: str
    key: str
    evidence: tuple[str, ...]  # in event order
    sessions: tuple[str, ...]  # in event order
    confidence: float
    ended: bool


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

    def doubts(self, personas: Sequence[Row], facts: Sequence[Row]) -> list[Doubt]:
        """Doubts of one conversation; `facts` are in event order."""
        place = {fact["fact_id"]: number for number, fact in enumerate(facts)}
        out: dict[str, Doubt] = {}
        for (person, _), values in sorted(_by_topic(personas, facts, place).items()):
            standing = [v for v in values if self._stands(v)]
            for held in standing:
                for other in values:
                    if other not in standing and self._unaccepted(
                        held, other, values, facts, place
                    ):
                        for doubt in _against(person, held, other, facts, place):
                            out.setdefault(doubt.fact_id, doubt)
        return sorted(out.values(), key=lambda doubt: doubt.fact_id)

    def _stands(self, value: _Value) -> bool:
        enough = len(value.sessions) >= self.min_support
        return enough and not value.ended and value.confidence >= self.min_confidence

    def _unaccepted(
        self,
        held: _Value,
        other: _Value,
        values: Sequence[_Value],
        facts: Sequence[Row],
        place: Mapping[str, int],
    ) -> bool:
        if len(other.sessions) != 1 or _agree(held, other):
            return False
        first, last = place[other.evidence[0]], place[other.evidence[-1]]
        said = [facts[place[fact_id]] for fact_id in other.evidence]
        session = other.sessions[0]
        third = [v for v in values if v is not held and v is not other]
        return (
            first > place[held.evidence[0]]
            and session not in held.sessions
            and any(fact["session_id"] != session for fact in facts[last + 1 :])
            and not any(announces_change(fact["text"]) for fact in said)
            and not any(place[v.evidence[-1]] > last for v in third)
            and not _named_elsewhere(other, session, facts)
        )


def _by_topic(
    personas: Sequence[Row], facts: Sequence[Row], place: Mapping[str, int]
) -> dict[tuple[str, str], list[_Value]]:
    """Values by person and attribute; likings by person and what is liked."""
    topics: dict[tuple[str, str], dict[tuple[str, str], list[Row]]] = {}
    for row in personas:
        attribute, person = row["attribute"], person_key(row["person"])
        if attribute in _TASTES:
            key = taste_key(row["value"])
            slot, topic = (attribute, key), (person, f"taste:{key}")
        elif attribute in _LASTING:
            key = value_key(attribute, row["value"])
            topic = (person, attribute)
            slots = topics.get(topic, {})
            known = [s for s in slots if same_value(attribute, s[1], key)]
            slot = (attribute, min(known)[1] if known else key)
        else:
            continue
        if all(fact_id in place for fact_id in row["evidence"]):
            topics.setdefault(topic, {}).setdefault(slot, []).append(row)
    return {
        topic: [_value(slot, rows, facts, place) for slot, rows in slots.items()]
        for topic, slots in topics.items()
    }


def _value(
    slot: tuple[str, str], rows: Sequence[Row], facts: Sequence[Row], place: Mapping[str, int]
) -> _Value:
    evidence = sorted({f for row in rows for f in row["evidence"]}, key=lambda f: place[f])
    sessions = dict.fromkeys(facts[place[f]]["session_id"] for f in evidence)
    longest = max(rows, key=lambda row: (len(row["evidence"]), row["persona_id"]))
    return _Value(
        attribute=slot[0],
        value=longest["value"],
        key=slot[1],
        evidence=tuple(evidence),
        sessions=tuple(sessions),
        confidence=max(row["confidence"] for row in rows),
        ended=slot[0] in _TASTES and all(row["valid_to"] is not None for row in rows),
    )


def _agree(one: _Value, other: _Value) -> bool:
    same = one.attribute == other.attribute
    return same and same_value(one.attribute, one.key, other.key)


def _named_elsewhere(other: _Value, session: str, facts: Sequence[Row]) -> bool:
    """Whether another session names the value; a liking's value is the liked thing itself."""
    if other.attribute in _TASTES:
        return False
    word = re.compile(rf"(?<!\w){re.escape(other.value.split(',')[0])}(?!\w)", re.IGNORECASE)
    return any(
        fact["session_id"] != session and word.search(fact["text"]) is not None for fact in facts
    )


def _against(
    person: str, held: _Value, other: _Value, facts: Sequence[Row], place: Mapping[str, int]
) -> list[Doubt]:
    """A doubt of every fact of the other value, against the most important evidence."""
    strongest = max(held.evidence, key=lambda f: (facts[place[f]]["importance"], -place[f]))
    name = _spelled(person, facts[place[held.evidence[0]]])
    count = f"in {len(held.sessions)} sessions"
    if held.attribute in _TASTES:
        reason = f"{name} {held.attribute} {held.value} {count}; this says {other.attribute} once"
    else:
        reason = f"{name}'s {held.attribute} is {held.value} {count}; this says {other.value} once"
    return [Doubt(f, reason, strongest, held.confidence) for f in other.evidence]


def _spelled(person: str, fact: Row) -> str:
    """The person's name as the evidence writes it."""
    for name in (fact["subject"], fact["speaker"]):
        if name and person_key(name) == person:
            return name
    return person.title()
