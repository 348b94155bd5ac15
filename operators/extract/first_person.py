"""First and second person into names: "I'm moving" said by Nora becomes "Nora is moving".

The speaker substitution of SuperLocalMemory's zero-LLM mode, with agreement: auxiliaries
and a list of common present-tense verbs take the third person ("Nora loves hiking"); a verb
that is not on the list stays as it is, for it may be a past form. Quoted speech and "we"
are left alone.
"""
# ruff: noqa: E501 - a pattern reads best on one line

import re
from dataclasses import dataclass
from functools import lru_cache

from operators.extract.words import load_words

_ADVERBS = (
    r"just|really|also|always|never|still|often|usually|sometimes|currently|recently|actually|even|only|"
    r"already|finally|now|kinda|sorta|kind of|sort of|rarely|seldom|soon|once|ever|mostly|"
    r"definitely|totally|honestly|absolutely|probably|truly|especially|mainly|generally|simply|"
    r"literally|certainly|personally|particularly|obviously|especially|normally|typically|basically|"
    r"sincerely|deeply|strongly|completely|genuinely|highly|quite|almost|too|both"
)
_PRESENT = load_words("present_verbs.txt")
_APOS = "['’]"
_AUX = (
    r"am|do|don['’]t|did|didn['’]t|have|haven['’]t|had|was|wasn['’]t|were|are|aren['’]t|weren['’]t|can|can['’]t|could|couldn['’]t|"
    r"should|shouldn['’]t|would|wouldn['’]t|will|won['’]t|may|might|must|shall|(?:how|what|where|who|when|why)['’]re"
)
_TAIL = (
    rf"(?:{_APOS}(?P<short>m|re|ve|ll|d)\b)?(?P<adverbs>(?:\s+(?:{_ADVERBS})\b)*)"
    rf"(?:\s+(?P<verb>[A-Za-z]+(?:n{_APOS}t)?)(?![\w'’]))?"
)
_I = re.compile(
    rf"(?:\b(?P<aux>(?i:{_AUX}))\s+)?(?<![\w'’./&-])(?:I(?![\w./&-]|{_APOS}s\b)|i(?={_APOS}(?:m|ve|ll|d)\b|\s+[a-z]{{2,}}))"
    + _TAIL
)
_YOU = re.compile(
    rf"(?:\b(?P<aux>(?i:{_AUX}))\s+)?(?<![\w'’-])[Yy]ou(?![\w-])(?!\s+(?:guys|all|two|both|folks|know\b(?=[,.!?])|three|people|lot))"
    + _TAIL
)
_MY = re.compile(
    r"(?<![\w'’-])(?P<word>[Mm]y|[Mm]ine|[Mm]e|[Mm]yself)\b(?![\w'’-]|\s+(?:god|goodness|gosh|bad|oh my)\b)"
)
_YOUR = re.compile(r"(?<![\w'’-])(?P<word>[Yy]ours?)\b(?![\w'’-])")
_IS_FIRST = re.compile(r"\b(?:I|i|[Mm]y|[Mm]e|[Mm]ine|[Mm]yself)\b")
_IS_SECOND = re.compile(r"\b[Yy]ou(?:rs?)?\b")
_AM = re.compile(r"\b(and|but|so|or|who) (?:am|['’]m)\b")
_QUOTE = re.compile(
    r'"[^"\n]{1,600}"|“[^”\n]{1,600}”|`[^`\n]{1,300}`|https?://\S+|\[[^\]\n]{1,400}\]'
)

_AGREE = {
    "am": "is", "are": "is", "were": "was", "have": "has", "do": "does",
    "don't": "doesn't", "dont": "doesn't", "haven't": "hasn't",
    "wanna": "wants to", "gotta": "has to", "aren't": "isn't", "weren't": "wasn't",
}  # fmt: skip
_SHORT = {"m": "is", "re": "is", "ve": "has", "ll": "will"}
_PARTICIPLE = re.compile(
    r"(?:been|gone|had|done|seen|better|never|taken|made|met|got|gotten|\w+ed)\b"
)
_COMPOUND = re.compile(
    r"(?:^|[.!?,;:]\s+|\b(?:that|when|because|while)\s+)(?:[Mm]y\s+(?:\w+\s+)?\w+|[A-Z][a-z]+)\s+and\s+$"
)
_OBJECT = re.compile(
    r"\b(?:to|for|with|of|from|about|at|on|by|let|lets|make|makes|help|helps|see|thank|thanks|tell|told|ask|asked|"
    r"hear|heard|miss|love|give|gave|gives|show|showed|like|than|wish|proud of|and)\s+$",
    re.IGNORECASE,
)
_IDIOM = re.compile(
    r"\b(?:thank|thanks|bless|trust|believe|excuse|pardon|oh|dear|screw)\s+$", re.IGNORECASE
)

_NUMERAL = re.compile(
    r"\b(?:Part|War|Act|Chapter|Volume|Phase|Type|Book|Level|Tier|Class|Title|Henry|Elizabeth)\s+$"
)


@dataclass(frozen=True)
class Voice:
    """Who speaks, and to whom where that is known."""

    speaker: str
    addressee: str | None = None


def rewrite(text: str, voice: Voice) -> str:
    """`text` with the speaker's name for I/my/me and the addressee's for you/your."""
    first = _IS_FIRST.search(text) is not None
    second = voice.addressee is not None and _IS_SECOND.search(text) is not None
    if not (first or second):
        return text
    parts: list[str] = []
    at = 0
    for quote in _QUOTE.finditer(text):
        parts += [_plain(text[at : quote.start()], voice, first, second), quote.group()]
        at = quote.end()
    parts.append(_plain(text[at:], voice, first, second))
    return "".join(parts)


def _plain(text: str, voice: Voice, first: bool, second: bool) -> str:
    """Rewrite text without quotes. Second person first: the names put in hold no pronoun."""
    if second and voice.addressee is not None:
        name = voice.addressee
        text = _YOU.sub(lambda m: _subject(m, name, second=True), text)
        text = _YOUR.sub(lambda m: _own(m, name), text)
    if first:
        name = voice.speaker
        text = _I.sub(lambda m: _subject(m, name, second=False), text)
        text = _MY.sub(lambda m: _own(m, name), text)
        text = _AM.sub(r"\1 is", text)
    return text


def _subject(match: re.Match[str], name: str, *, second: bool) -> str:
    """The pronoun, its auxiliary and its verb in the third person."""
    aux, short = match["aux"], match["short"]
    adverbs, verb = match["adverbs"], match["verb"]
    before = match.string[max(0, match.start() - 60) : match.start()]
    if (_IDIOM if second and aux is None else _NUMERAL).search(before):
        return match.group()
    spaced = f" {verb}" if verb else ""
    if aux:
        return f"{_cased(_agree(aux), aux)} {name}{_contracted(short, verb)}{adverbs}{spaced}"
    if short:
        return f"{name}{_contracted(short, verb)}{adverbs}{spaced}"
    joint = before.endswith("and ") and _COMPOUND.search(before) is not None
    if verb and not joint and not (second and _OBJECT.search(before)):
        low = verb.lower().replace("’", "'")
        spaced = f" {_AGREE.get(low) or (third_person(low) if low in _PRESENT else verb)}"
    elif verb and joint and verb == "am":
        spaced = " are"
    return f"{name}{adverbs}{spaced}"


def _contracted(short: str | None, verb: str | None) -> str:
    if short is None:
        return ""
    if short == "d":
        return " had" if verb and _PARTICIPLE.fullmatch(verb) else " would"
    return f" {_SHORT[short]}"


def _agree(word: str) -> str:
    plain = word.lower().replace("’", "'")
    return f"{word[:-3]} is" if plain.endswith("'re") else _AGREE.get(plain, word)


def _cased(word: str, like: str) -> str:
    return word[0].upper() + word[1:] if like[0].isupper() else word


def _own(match: re.Match[str], name: str) -> str:
    """my -> Nora's, me -> Nora, myself -> themself."""
    word = match["word"].lower()
    before = match.string[max(0, match.start() - 12) : match.start()]
    if _IDIOM.search(before):
        return match.group()
    if word.endswith("self"):
        return "themself"
    if word == "me":
        return name
    if word == "mine" and before.lower().endswith((" a ", "the ", "coal ", "gold ")):
        return match.group()
    return f"{name}'s"


@lru_cache(maxsize=1024)
def third_person(verb: str) -> str:
    """love -> loves, try -> tries, watch -> watches."""
    if verb == "have":
        return "has"
    if verb.endswith("y") and verb[-2:-1] not in {"a", "e", "i", "o", "u"}:
        return verb[:-1] + "ies"
    return verb + ("es" if verb.endswith(("s", "sh", "ch", "x", "z", "o")) else "s")
