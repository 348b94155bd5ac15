"""Relations that statements name: "Nora's sister Ana", "Ana, Nora's sister"."""
# ruff: noqa: E501 - a pattern reads best on one line

import re
from collections.abc import Collection, Iterator

from operators.personas.claims import DIRECT, Claim, Said, words

_WORDS = {
    "partner": "wife|husband|partner|girlfriend|boyfriend|fianc[ée]e?|spouse",
    "sister": "sister", "brother": "brother",
    "mother": "mother|mum|mom", "father": "father|dad",
    "son": "son", "daughter": "daughter",
    "aunt": "aunt|auntie", "uncle": "uncle", "cousin": "cousin",
    "niece": "niece", "nephew": "nephew",
    "grandmother": "grandmother|grandma|granny|nana", "grandfather": "grandfather|grandpa",
    "mother_in_law": "mother-in-law", "father_in_law": "father-in-law",
    "sister_in_law": "sister-in-law", "brother_in_law": "brother-in-law",
    "friend": "friend|bestie", "buddy": "buddy", "colleague": "colleague|coworker|co-worker|teammate",
    "boss": "boss|manager|supervisor", "roommate": "roommate|flatmate|housemate",
    "neighbour": "neighbou?r", "teacher": "teacher|instructor|professor|tutor",
    "coach": "coach|trainer", "mentor": "mentor", "therapist": "therapist",
    "landlord": "landlord|landlady",
}  # fmt: skip
RELATION = {
    word: name
    for name, words in _WORDS.items()
    for word in words.replace("[ée]e?", "é").replace("ou?r", "our").split("|")
} | {"fiancée": "partner", "fiance": "partner", "fiancee": "partner", "neighbor": "neighbour"}
"""The relation that a word stands for."""
RELATION_WORDS = "|".join(
    sorted((w for words in _WORDS.values() for w in words.split("|")), key=len)[::-1]
)
"""Alternatives of a pattern: the words for a relation, the longest first."""
_OF_AGE = r"(?:(?:\d+|[a-z]+)[- ]year[- ]old|older|oldest|younger|youngest|little|big|baby|twin)"
_ADJECTIVE = rf"(?:(?:{_OF_AGE}|best|good|old|close|dear|new|former|great|late) ){{0,3}}"
_PERSON = r"(?P<v>(?:Dr\.? |Mr\.? |Mrs\.? |Ms\.? )?[A-Z][a-zà-ÿ]+(?:-[A-Z][a-zà-ÿ]+)?(?: [A-Z][a-zà-ÿ]+)?)(?!\w|['’]s (?:and|birthday party))"
_GIVEN = r"(?:,? (?:is )?(?:named|called) |['’]s (?:called|named|name is) |['’]s name['’]s |, (?=[A-Z]\w+[,.!]))"
_NAMED = re.compile(rf"@['’]s {_ADJECTIVE}(?P<r>{RELATION_WORDS})(?:{_GIVEN}| ){_PERSON}")
_IS = re.compile(rf"@['’]s {_ADJECTIVE}(?P<r>{RELATION_WORDS})(?:['’]s| is) {_PERSON}(?=[,.!;]|$)")
_REVERSED = re.compile(
    rf"\b{_PERSON}(?:,| is) @['’]s {_ADJECTIVE}(?P<r>{RELATION_WORDS})(?=[,.!;]|$)"
)
_PEOPLES = re.compile(r"\w+(?:ish|ese|[^V]ian|ch)$")
_NOT_A_NAME = words(
    "Monday Tuesday Wednesday Thursday Friday Saturday Sunday January February March April May "
    "June July August September October November December Christmas Easter Mum Mom Dad The He "
    "She It They We You And But So Then If When While What Who How Why Where That This There "
    "Here Just Not No Yes Well Oh Also Love Loves Got Said Thanks Assistant User English "
    "Instagram Facebook WhatsApp Zoom Netflix Spotify Academy University College School Award"
)


def relations(said: Said, people: Collection[str]) -> Iterator[Claim]:
    """Named relations of the speaker. `people` are the speakers: "you" is one of them."""
    for sentence in said.sentences:
        if "@'s" not in sentence and "@’s" not in sentence:
            continue
        found = [m for pattern in (_NAMED, _IS, _REVERSED) for m in pattern.finditer(sentence)]
        for match in found:
            name = match["v"]
            first = name.split()[0].rstrip(".")
            if first in _NOT_A_NAME or _PEOPLES.match(name) or first in people or name in people:
                continue
            if name.split()[-1] in _NOT_A_NAME:
                name = first
            relation = RELATION[match["r"]]
            slot = "partner" if relation == "partner" else None
            key = name.casefold()
            yield Claim(said.row, said.speaker, "relation", relation, name, key, DIRECT, slot)
