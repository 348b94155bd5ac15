"""Names in a text: capitalised spans, acronyms, quoted titles, hosts of links.

The capitalised-span and quoted-title rules of SuperLocalMemory's zero-LLM mode. A single
capitalised word that opens a sentence is taken only where something else says that it is a
name: it is a known name, it has inner capitals or digits, or a verb of persons follows.
"""
# ruff: noqa: E501 - a pattern reads best on one line

import re

from operators.extract.calendar_rules import MONTHS, SEASONS, WEEKDAYS
from operators.extract.words import load_words

MAX_ENTITIES = 16
_MAX_CHARS = 60

_CAP = r"(?:(?:[A-Z]\.){1,3} ?[A-Z]\w+|[A-Z][\w’']*(?:-[A-Za-z0-9]\w*)*|[a-z]{1,2}[A-Z]\w+)"
_SPAN = re.compile(
    rf"(?<![\w@#./-]){_CAP}(?:(?: (?:of|de|la|le|van|von|der|du|del|and the|of the|&) | ){_CAP}|\. (?<=Dr\. |Mr\. |Ms\. |St\. ){_CAP}|(?<=[A-Za-z]) \d{{1,4}}(?![\w.,:/%]|\s(?:[a-z]+s|[A-Z])))*"
)
_TITLE = re.compile(r'(?:"([^"\n]{2,60})"|“([^”\n]{2,60})”)')
_HOST = re.compile(r"https?://(?:www\.)?([\w-]+(?:\.[\w-]+)+)|[\w.+-]+@([\w-]+\.[\w.-]+\w)")
_PERSON_VERB = re.compile(
    r"\s(?:said|says|told|asked|called|loves|likes|wants|thinks|works|lives|moved|invited|gave|came|went|"
    r"owns|took|takes|joined|left|will own|agreed|and I|is my|was my|wrote|sent|got|bought|recommended|"
    r"suggested|promised|plays|played|turned|visited|met)\b"
)
_OPENERS = frozenset(".!?:;\n•|—–)…")
_DECORATION = " _*\"'“#>-(["
_POSSESSIVE = re.compile(r"(?:['’]s?)$")

STOP = (
    load_words("entity_stop_words.txt")
    | frozenset(month.lower() for month in MONTHS)
    | frozenset(WEEKDAYS)
    | frozenset(SEASONS)
)

# "**Set boundaries**:" in an answer is a label, not a name.
_LABEL = re.compile(r"\*\*[^*\n]{1,80}(?::\*\*|\*\*\s*:)|^\s{0,3}#{1,6} [^\n]*$", re.MULTILINE)


def without_labels(text: str) -> str:
    """`text` with Markdown headings and bold labels blanked, so that they are not read as names."""
    return _LABEL.sub(":", text) if "**" in text or "#" in text else text


def find_entities(text: str, known: frozenset[str]) -> list[str]:
    """Names in order of first mention, each once; `known` are names of people in the session."""
    found: list[tuple[int, str]] = []
    titles: list[tuple[int, int]] = []
    if '"' in text or "“" in text:
        for match in _TITLE.finditer(text):
            title = (match[1] or match[2]).strip(" .,!?")
            if title[:1].isupper() and " " in title and title.count(" ") <= 7:
                found.append((match.start(), title))
                titles.append(match.span())
    for match in _SPAN.finditer(text):
        if any(lo <= match.start() < hi for lo, hi in titles):
            continue
        name = _trim(match, text, known)
        if name:
            found.append((match.start(), name))
    if "://" in text or "@" in text:
        found += [(m.start(), (m[1] or m[2]).lower()) for m in _HOST.finditer(text)]
    found.sort()
    seen: dict[str, str] = {}
    for _, name in found:
        seen.setdefault(name.casefold(), name)
    return list(seen.values())[:MAX_ENTITIES]


def _trim(match: re.Match[str], text: str, known: frozenset[str]) -> str | None:
    """The span without stop words at its ends and a possessive; None where it is no name."""
    words = match.group().split()
    if len(words) == 1 and _stops(words[0]):
        return None
    before = text[max(0, match.start() - 12) : match.start()].rstrip(_DECORATION)
    opens = not before or before[-1] in _OPENERS
    if opens and len(words) > 1 and words[0] not in known:
        last = _POSSESSIVE.sub("", words[-1])
        words = [last] if last in known else words  # "Love Nora's idea", "Proud of Nora"
    while words and _stops(words[0]):
        words.pop(0)
        opens = False
    while words and (_stops(words[-1]) or not (words[-1][0].isupper() or words[-1][-1].isalnum())):
        words.pop()
    while words and words[-1] in {
        "of",
        "de",
        "la",
        "le",
        "van",
        "von",
        "der",
        "du",
        "del",
        "&",
        "and",
        "the",
    }:
        words.pop()
    if not words or words[0].isdigit():
        return None
    words[-1] = _POSSESSIVE.sub("", words[-1])
    name = " ".join(words)
    if len(name) < 2 or len(name) > _MAX_CHARS or _stops(name):
        return None
    if opens and len(words) == 1 and not _looks_a_name(name, match.end(), text, known):
        return None
    if opens and len(words) > 1 and words[0].lower().endswith("ing"):
        return None
    return name


def _stops(word: str) -> bool:
    low = word.lower().replace("’", "'")
    return low in STOP or low.removesuffix("'s") in STOP


def _looks_a_name(name: str, end: int, text: str, known: frozenset[str]) -> bool:
    if name in known or any(c.isupper() or c.isdigit() for c in name[1:]):
        return True
    if name.lower().endswith(("ing", "ly", "ed", "ness", "tion")):
        return False
    return _PERSON_VERB.match(text, end) is not None
