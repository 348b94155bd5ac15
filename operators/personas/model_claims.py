"""What a model says of people, in the terms of claims: so that it merges with what rules read."""

import re
from collections.abc import Collection

from operators.attributes import (
    FAVOURITE_PREFIX,
    FUNCTIONAL_ATTRIBUTES,
    SET_VALUED_ATTRIBUTES,
    is_functional,
)
from operators.personas.claims import DIRECT, REPORTED, Claim, Column, Kind, plain_value, words
from operators.personas.habit_patterns import ACTIVITIES
from operators.personas.people import is_human, looks_like_name, person_key, person_name
from operators.personas.relations import RELATION
from operators.personas.tastes import taste_key
from operators.personas.traits import OF_THINGS, value_key

_ATTRIBUTES = FUNCTIONAL_ATTRIBUTES | SET_VALUED_ATTRIBUTES | {"intolerance", "does_not_eat"}
_RELATIONS = frozenset(RELATION.values()) | {"sibling", "child"}
_CALLED = {
    name: attribute
    for attribute, names in {
        "home_city": "city home location residence lives_in living_in current_city",
        "employer": "company workplace works_at works_for work_place organisation organization",
        "job_title": "job occupation profession position work career role",
        "birthday": "birth_date date_of_birth birthdate dob",
        "relationship_status": "marital_status status relationship",
        "diet": "eating_habit dietary_preference dietary_restriction",
        "car": "vehicle",
        "pet": "pets dog cat",
        "allergy": "allergies allergic_to",
        "language": "languages speaks",
        "school": "university college education",
        "hobby": "hobbies",
        "likes": "like love loves enjoy enjoys liking interest interests interested_in fan_of",
        "dislikes": "dislike hate hates disliking",
        "habit": "habits routine activity activities practice",
    }.items()
    for name in names.split()
}  # fmt: skip
_NOTHING = words(
    "it this that these those them they he she you your him her his i me my we us our someone "
    "something anything nothing everything everyone unknown none n/a null yes no true false "
    "name person unnamed unspecified"
)
_CONCRETE = re.compile(r"[^\W_][\w'’-]*")
_TO = re.compile(r"^(?:to|the|a|an) ")
_GOES = re.compile(r"^(?:goes|go|going) (\w+ing)$")
_PLAYS = re.compile(r"^plays? (?=\w+(?: \w+)?$)")


def known_person(name: str, row: int, column: Column, people: Collection[str]) -> str | None:
    """The person meant by a model, or None: a speaker, by a short form, too, or one named in it.

    `people` are the speakers of the conversation.
    """
    told = re.sub(r"['’]s$", "", " ".join(name.split()))
    key = person_key(person_name(told))
    if not key or not is_human(told, None):
        return None
    exact = [person for person in people if person_key(person) == key]
    short = [p for p in people if _short_for(key, person_key(p))]
    if exact or len(short) == 1:
        return min(exact or short)
    named = re.search(rf"(?<!\w){re.escape(told)}(?!\w)", column["text"][row]) is not None
    return told if named and looks_like_name(told) else None


def _short_for(key: str, person: str) -> bool:
    """ "Mel" for "Melanie", "Nora" for "Nora Lund"."""
    return (len(key) > 2 and person.startswith(key)) or person.split(maxsplit=1)[0] == key


def claim_of(
    row: int, person: str, told: tuple[Kind, str, str], column: Column, *, ended: bool
) -> Claim | None:
    """The claim that kind, attribute and value make of a person, or None where they say nothing.

    Names and numbers of the value must stand in the fact: a model must not add any.
    """
    kind, attribute = _topic(*told[:2])
    value = _value(kind, told[2], person)
    if not attribute or not value or value.casefold() in _NOTHING:
        return None
    if person_key(value) == person_key(person) or not _held(value, column["text"][row]):
        return None
    if kind == "relation" and not looks_like_name(value):
        return None
    own = person_key(person) == person_key(person_name(column["speaker"][row]))
    return Claim(
        row=row,
        person=person,
        kind=kind,
        attribute=attribute,
        value=value,
        key=_key(kind, attribute, value),
        weight=DIRECT if own else REPORTED,
        slot=attribute if is_functional(attribute) else None,
        ends=ended,
        made_by="llm",
    )


def _topic(kind: Kind, attribute: str) -> tuple[Kind, str]:
    """Kind and attribute as rules write them; "" for what is not of people."""
    name = re.sub(r"\W+", "_", attribute.casefold()).strip("_").replace("favorite", "favourite")
    related = RELATION.get(name.replace("_", "-"), name)
    name = related if related in _RELATIONS or kind == "relation" else _CALLED.get(name, name)
    if name in OF_THINGS or name == "owner":
        return kind, ""
    if name in {"likes", "dislikes"} or name.startswith(FAVOURITE_PREFIX):
        return "preference", name
    if name == "habit" or (kind == "habit" and name not in _ATTRIBUTES | _RELATIONS):
        return "habit", "habit"
    if name in _RELATIONS:
        return "relation", name
    if name in _ATTRIBUTES:
        return "attribute", name
    return (kind, "likes") if kind == "preference" else (kind, name)


def _value(kind: Kind, value: str, person: str) -> str:
    owned = re.sub(rf"(?<!\w){re.escape(person)}['’]s?(?!\w)", "their", value)
    plain = plain_value(owned)
    if kind == "preference":
        return _TO.sub("", plain)
    if kind == "habit":
        plain = _PLAYS.sub("playing ", _GOES.sub(r"\1", plain))
        return ACTIVITIES.get(plain.casefold(), plain)
    return plain


def _key(kind: Kind, attribute: str, value: str) -> str:
    if attribute in {"likes", "dislikes"}:
        return taste_key(value)
    return value_key(attribute, value) if kind in ("attribute", "preference") else value.casefold()


def _held(value: str, text: str) -> bool:
    """Whether the text holds the names and numbers of a value."""
    low = text.casefold()
    concrete = [w for w in _CONCRETE.findall(value) if w[0].isupper() or any(map(str.isdigit, w))]
    return all(re.sub(r"['’]s$", "", word).casefold() in low for word in concrete)
