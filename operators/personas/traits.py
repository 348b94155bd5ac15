"""What the attributes of facts say of people: attributes, tastes, responsibilities."""
# ruff: noqa: E501 - a pattern reads best on one line

import re
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import Any

from operators.attributes import FAVOURITE_PREFIX, is_functional
from operators.periods import normalise_value
from operators.personas.claims import DIRECT, REPORTED, Claim, Kind, Said, plain_value, words
from operators.personas.people import looks_like_name, person_key, person_name
from operators.personas.tastes import taste_key, worthy

OF_THINGS = frozenset({"launch_date", "deadline", "budget", "vendor"})
_RELATIONS = {"partner": "partner", "sibling": "sibling", "child": "child"}
_PET = re.compile(r"^(?P<name>.+?)\s*\((?P<kind>[^)]+)\)$")
_DAY_MONTH = re.compile(
    r"(?:the )?(?:(?P<d>\d{1,2})(?:st|nd|rd|th)?(?: of)? (?P<m>[a-z]{3,})|(?P<n>[a-z]{3,}) (?P<e>\d{1,2})(?:st|nd|rd|th)?)$"
)
_FOODS = "|".join(
    sorted(
        words(
            "lactose milk dairy gluten wheat nuts peanuts eggs soy fish shellfish seafood meat pork "
            "beef sugar alcohol butter cheese cream walnuts almonds sesame honey"
        )
    )
)
_AVOIDS = re.compile(
    rf"@ (?:can['’]t|cannot|can not|doesn['’]t|does not|isn['’]t allowed to) (?:have|eat|drink) (?:any )?(?P<v>{_FOODS})\b"
)
_INTOLERANT = re.compile(rf"@ is (?:\w+ly )?(?P<v>{_FOODS})[- ]intolerant\b")
_AS_A = re.compile(
    r"@ (?:works|is working|has worked) (?:at|for) [A-Z][\w'’&. -]{1,40}? as an? (?P<v>[a-z][a-z -]{2,40}?)(?=\s*(?:[.,;!]|$)| (?:and|but|in|at|since|for|now)\b)"
)


_LAST_DAY = re.compile(
    r"(?P<who>[A-Z]\w+)['’]s last day at (?P<v>[A-Z][\w&.-]*(?: [A-Z][\w&.-]*){0,3})(?:['’]s| is| was| will be)[^.!?()]{0,30}\((?P<day>\d{1,2} [A-Z][a-z]+ \d{4})\)"
)


def job_ends(row: int, speaker: str, text: str) -> Iterator[Claim]:
    """ "Nora's last day at Acme is the 31st (31 March 2025)": the job ends after that day."""
    match = _LAST_DAY.search(text) if "last day at" in text else None
    if match is None or match["who"] != speaker:
        return
    try:
        last = datetime.strptime(match["day"], "%d %B %Y").replace(tzinfo=UTC)
    except ValueError:
        return
    when = (int(last.timestamp()) + 86_400) * 1_000_000
    key = value_key("employer", match["v"])
    yield Claim(
        row, speaker, "attribute", "employer", match["v"], key, DIRECT, "employer", True, when
    )


def triple_claims(
    row: int, column: dict[str, list[Any]], people: Collection[str]
) -> Iterator[Claim]:
    """The claim of a fact's subject, attribute and value, if it is about a person."""
    subject, attribute, value = (column[n][row] for n in ("subject", "attribute", "value"))
    if not subject or not attribute or not value or attribute in OF_THINGS:
        return
    speaker = person_name(column["speaker"][row])
    if attribute == "owner":
        if value in people:
            weight = DIRECT if value == speaker else REPORTED
            slot, thing = f"owner:{person_key(subject)}", subject.casefold()
            yield Claim(row, value, "attribute", "responsible_for", subject, thing, weight, slot)
        return
    if subject not in people and not (looks_like_name(subject) and attribute == "job_title"):
        return
    weight = DIRECT if subject == speaker else REPORTED
    yield from _of_person(row, subject, attribute, value, weight, people)


def _of_person(
    row: int, person: str, attribute: str, value: str, weight: float, people: Collection[str]
) -> Iterator[Claim]:
    kind: Kind = "attribute"
    if attribute in {"likes", "dislikes"}:
        value = plain_value(value)
        # A pattern may have cut a lone gerund off its object.
        cut = " " not in value and value.endswith("ing")
        if not cut and worthy(value, people, strong=False):
            key = taste_key(value)
            yield Claim(
                row, person, "preference", attribute, value, key, REPORTED, from_triple=True
            )
        return
    if attribute.startswith(FAVOURITE_PREFIX):
        kind = "preference"
        if not worthy(value, people) and not value[0].isupper():
            return
    elif attribute in _RELATIONS:
        kind, attribute = "relation", _RELATIONS[attribute]
    slot = attribute if is_functional(attribute) else None
    yield Claim(row, person, kind, attribute, value, value_key(attribute, value), weight, slot)


def value_key(attribute: str, value: str) -> str:
    """The value by which two claims of an attribute are equal.

    >>> value_key("birthday", "May 3rd") == value_key("birthday", "3 May")
    True
    """
    key = normalise_value(value)
    if attribute == "pet":
        match = _PET.match(key)
        return match["name"] if match else key
    if attribute == "birthday":
        match = _DAY_MONTH.match(re.sub(r",? \d{4}$", "", key))
        if match:
            return f"{match['d'] or match['e']} {(match['m'] or match['n'])[:3]}"
    return key


def text_attributes(said: Said) -> Iterator[Claim]:
    """Attributes that a statement holds beside its triple: food one avoids, a job."""
    for sentence in said.sentences:
        for attribute, pattern in (
            ("intolerance", _INTOLERANT),
            ("does_not_eat", _AVOIDS),
            ("job_title", _AS_A),
        ):
            match = pattern.search(sentence)
            if match and not re.match(r"[^.!?]{0,40}\bif\b", sentence[: match.start() + 1]):
                value = match["v"]
                slot = attribute if is_functional(attribute) else None
                yield Claim(
                    said.row, said.speaker, "attribute", attribute, value, value, DIRECT, slot
                )
