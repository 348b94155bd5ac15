"""What goes against a well-supported persona: the candidates for a doubt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from operators.personas.people import person_key
from operators.personas.tastes import taste_key
from operators.personas.timeline import same_value
from operators.personas.traits import value_key

Row = Mapping[str, Any]

# Not age and job titles: they change by themselves, or are worded in many ways.
_LASTING = frozenset(
    {"home_city", "employer", "birthday", "partner", "relationship_status", "diet", "car"}
)
TASTES = ("likes", "dislikes")


@dataclass(frozen=True)
class Value:
    """A value of one person's attribute: all its persona rows taken together."""

    attribute: str
    value: str
    key: str
    evidence: tuple[str, ...]  # in event order
    sessions: tuple[str, ...]  # in event order
    confidence: float
    ended: bool


@dataclass(frozen=True)
class Candidate:
    """A value of a person's attribute that goes against one that is well supported.

    Attributes:
        person: normalised name.
        held: the supported value.
        other: the value that goes against it.
        values: all values of the topic.
    """

    person: str
    held: Value
    other: Value
    values: Sequence[Value]


def candidates(
    personas: Sequence[Row], facts: Sequence[Row], min_support: int, min_confidence: float
) -> list[Candidate]:
    """What goes against a value that `min_support` sessions give, and was first said later.

    `facts` are those of one conversation, in event order; candidates are in order of person
    and topic.
    """
    place = places(facts)
    return [
        Candidate(person, held, other, values)
        for (person, _), values in sorted(_by_topic(personas, facts, place).items())
        for held in values
        if _stands(held, min_support, min_confidence)
        for other in values
        if not _stands(other, min_support, min_confidence)
        and not _agree(held, other)
        and place[other.evidence[0]] > place[held.evidence[0]]
    ]


def places(facts: Sequence[Row]) -> dict[str, int]:
    """Place of each fact in event order."""
    return {fact["fact_id"]: number for number, fact in enumerate(facts)}


def _stands(value: Value, min_support: int, min_confidence: float) -> bool:
    enough = len(value.sessions) >= min_support
    return enough and not value.ended and value.confidence >= min_confidence


def _by_topic(
    personas: Sequence[Row], facts: Sequence[Row], place: Mapping[str, int]
) -> dict[tuple[str, str], list[Value]]:
    """Values by person and attribute; likings by person and what is liked."""
    topics: dict[tuple[str, str], dict[tuple[str, str], list[Row]]] = {}
    for row in personas:
        attribute, person = row["attribute"], person_key(row["person"])
        if attribute in TASTES:
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
) -> Value:
    evidence = sorted({f for row in rows for f in row["evidence"]}, key=lambda f: place[f])
    sessions = dict.fromkeys(facts[place[f]]["session_id"] for f in evidence)
    longest = max(rows, key=lambda row: (len(row["evidence"]), row["persona_id"]))
    return Value(
        attribute=slot[0],
        value=longest["value"],
        key=slot[1],
        evidence=tuple(evidence),
        sessions=tuple(sessions),
        confidence=max(row["confidence"] for row in rows),
        ended=slot[0] in TASTES and all(row["valid_to"] is not None for row in rows),
    )


def _agree(one: Value, other: Value) -> bool:
    same = one.attribute == other.attribute
    return same and same_value(one.attribute, one.key, other.key)


def known(candidate: Candidate, facts: Sequence[Row]) -> str:
    """What is known, as a sentence without its full stop."""
    held = candidate.held
    first = next(fact for fact in facts if fact["fact_id"] == held.evidence[0])
    name = _spelled(candidate.person, first)
    if held.attribute in TASTES:
        return f"{name} {held.attribute} {held.value}"
    return f"{name}'s {held.attribute} is {held.value}"


def _spelled(person: str, fact: Row) -> str:
    """The person's name as the evidence writes it."""
    for name in (fact["subject"], fact["speaker"]):
        if name and person_key(name) == person:
            return name
    return person.title()
