"""He and She at the start of a statement, where the sentence before names exactly one person.

Rules cannot resolve pronouns in general; this one case is safe enough to make a window that
opens with a pronoun stand alone. Everything else stays as written.
"""

import re

_OPENING = re.compile(r"(?P<pronoun>He|She|His|Her)(?P<short>['’]s|['’]ll|['’]d)?(?= [a-z])")
_PERSON = re.compile(
    r"\b(?:brother|sister|mother|father|mom|mum|dad|son|daughter|wife|husband|partner|friend|boyfriend|girlfriend|"
    r"cousin|aunt|uncle|grandma|grandpa|colleague|coworker|boss|neighbou?r|roommate|named|called|met|with|saw|told|"
    r"visited|called|by)[,:]? (?P<name>[A-Z][a-z]{2,}(?: [A-Z][a-z]+)?)\b"
)


def resolve_opening(text: str, previous: str) -> str:
    """`text` with an opening He/She/His/Her replaced by the one person `previous` names."""
    match = _OPENING.match(text)
    if match is None or not previous:
        return text
    names = {m["name"] for m in _PERSON.finditer(previous)}
    if len(names) != 1:
        return text
    name = names.pop()
    if match["pronoun"] in {"His", "Her"}:
        return f"{name}'s{text[match.end('pronoun') :]}" if not match["short"] else text
    return name + text[match.end("pronoun") :]
