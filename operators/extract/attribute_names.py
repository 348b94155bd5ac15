"""One name for each attribute, however a model calls it."""

import re

from operators.attributes import FAVOURITE_PREFIX, FUNCTIONAL_ATTRIBUTES, SET_VALUED_ATTRIBUTES

_KNOWN = FUNCTIONAL_ATTRIBUTES | SET_VALUED_ATTRIBUTES
_OTHER_NAMES = {
    "home_city": "city home residence location current_city lives_in place_of_residence "
    "current_location city_of_residence lives address hometown_now",
    "employer": "company workplace works_at works_for place_of_work current_employer",
    "job_title": "job occupation profession role position career title work works_as",
    "birthday": "birth_date date_of_birth birthdate born born_on",
    "relationship_status": "marital_status status_of_relationship civil_status",
    "partner": "spouse wife husband girlfriend boyfriend fiance fiancee",
    "diet": "dietary_preference eating_habit",
    "car": "vehicle drives",
    "launch_date": "release_date launch go_live_date",
    "deadline": "due_date due",
    "vendor": "supplier provider",
    "owner": "owned_by responsible",
    "pet": "dog cat has_pet pet_name",
    "allergy": "allergic_to allergen",
    "likes": "like love enjoys loves preference interest interested_in favors prefers",
    "dislikes": "dislike hates hate",
    "hobby": "pastime activity plays",
    "language": "speaks languages_spoken",
    "school": "university college education studied_at alma_mater",
    "sibling": "brother sister",
    "child": "son daughter kid children kids",
}
_CANONICAL = {other: name for name, others in _OTHER_NAMES.items() for other in others.split()}
_GAP = re.compile(r"[\W_]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_FAVOURITE = re.compile(r"fav(?:ou?rite)?_(?P<thing>.+)")


def attribute_name(given: str) -> str:
    """The name that rules and supersession use, else `given` in snake_case; "" for nothing."""
    name = _GAP.sub("_", _HUMP.sub("_", given.strip())).strip("_").casefold()
    if favourite := _FAVOURITE.fullmatch(name):
        return FAVOURITE_PREFIX + favourite["thing"]
    for form in (name, _singular(name)):
        if form in _KNOWN:
            return form
        if form in _CANONICAL:
            return _CANONICAL[form]
    return name


def _singular(name: str) -> str:
    return f"{name[:-3]}y" if name.endswith("ies") else name.removesuffix("s")
