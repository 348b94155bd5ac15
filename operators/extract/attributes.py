"""Attributes stated by a sentence: (subject, attribute, value) by pattern, precise before broad.

Patterns are read on the original wording, where "I" is the speaker. A clause that asks,
denies, supposes or wishes gives nothing: a wrong value would end a right one.
"""
# ruff: noqa: E501 - a pattern reads best on one line

import re
from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

from operators.attributes import FAVOURITE_PREFIX
from operators.extract.attribute_patterns import SPEAKER, TEAM
from operators.extract.calendar_rules import MONTHS, WEEKDAYS
from operators.extract.dates import find_dates

LEAST_TELLING = frozenset({"likes", "dislikes"})
_NOT_A_PERSON = frozenset({"Assistant", "System"})


class Triple(NamedTuple):
    """A value of an attribute of a subject."""

    subject: str
    attribute: str
    value: str


_UNREAL = re.compile(
    r"\b(?:if|unless|might|may|maybe|perhaps|would|wouldn['’]t|could|should|wish|hope|hoping|hopefully|thinking|"
    r"think about|consider\w*|want|wanted|wants|plan|plans|planning|used to|no longer|not|never|almost|nearly|pretend|imagine|dream\w*|"
    r"suppose|supposed|until|[a-z]+n['’]t|doesnt|dont|isnt|any ?more|joking|kidding|as though|like to|wondering|whether|tempted|"
    r"propose\w*|suggest\w*|expect\w*)\b|['’]d\b",
    re.IGNORECASE,
)
# Patterns with "can't stand" and "was, would be" carry their own verb and are judged before it.
_CLAUSE = re.compile(
    r"[.;!?\n–—]|,?\s+\b(?:and|but|so|because|though|although|while|which|who)\b|,\s", re.IGNORECASE
)
_NOT_A_VALUE = re.compile(
    r"(?:it|that|this|those|these|them|him|her|you|your|how|what|when|where|the way|to (?:see|hear|know|think|say)|"
    r"everything|my|a|an|the|some|all|me|one|so|such|hearing|seeing|knowing|being able|having|our|his|their|its|there|is|are|was|makes|make|makes|every|just|about|more|not|being there|making$|going$|getting$|having$|trying$|to$|help$|hear$|see$|doing$|both|when|getting lost$|most$)\b",
    re.IGNORECASE,
)
_NOT_A_PLACE = frozenset(
    [
        "I",
        "The",
        "My",
        "Our",
        "Marketing",
        "Engineering",
        "Sales",
        "Product",
        "Finance",
        "Design",
        "Friday",
        "Monday",
    ]
)
_BEFORE_DAY = re.compile(r"^(?:(?:to|for|from|on)\s+)+")
_FROM_TO = re.compile(r"(?:on )?(?:from )?.{3,30} to ")
_TITLE_WORDS = frozenset(["and", "is", "was", "has", "will", "the", "my", "who"])


def may_claim_several(text: str) -> bool:
    """Whether words of more than one attribute are in `text`: a cheap check."""
    return sum(key in _TELLING_KEYS for key in _keys_in(text.lower())) > 1


_KEYS = tuple(sorted({key for pattern in (*SPEAKER, *TEAM) for key in pattern.keys}))
_TELLING_KEYS = frozenset(
    key for p in (*SPEAKER, *TEAM) if p.attribute not in LEAST_TELLING for key in p.keys
)


def _keys_in(low: str) -> list[str]:
    """Keys of any pattern in a lower-case sentence: each is looked for once, not per pattern."""
    return [key for key in _KEYS if key in low]


def find_triple(sentence: str, speaker: str, base: date) -> Triple | None:
    """The first attribute that `sentence`, said by `speaker` on day `base`, states; else None."""
    if sentence.rstrip(" \"'”)").endswith("?"):
        return None
    keys = _keys_in(sentence.lower())
    return next(_found(sentence, frozenset(keys), speaker, base), None) if keys else None


def _found(sentence: str, keys: frozenset[str], speaker: str, base: date) -> Iterator[Triple]:
    """Candidates in order of the tables: attributes of the speaker, then of the team."""
    # An assistant that likes a thing is polite; it has no home and no job.
    if speaker not in _NOT_A_PERSON and _FIRST.search(sentence):
        for pattern in SPEAKER:
            if not keys.isdisjoint(pattern.keys):
                for match in pattern.regex.finditer(sentence):
                    if not _unreal(sentence, match):
                        triple = _of_speaker(pattern.attribute, match, speaker)
                        if triple:
                            yield triple
    for pattern in TEAM:
        if not keys.isdisjoint(pattern.keys):
            match = pattern.regex.search(sentence)
            if match and not _unreal(sentence, match):
                triple = _of_team(pattern.attribute, match, base)
                if triple:
                    yield triple


_FIRST = re.compile(r"\b(?:I|[Mm]y|[Ww]e|mine)\b|^(?:\w+ years at|[Vv]eg|[Pp]esc)")


def _unreal(sentence: str, match: re.Match[str]) -> bool:
    """Whether the clause around the match denies, supposes or wishes, up to the value's end."""
    start, end = 0, len(sentence)
    for cut in _CLAUSE.finditer(sentence):
        if cut.end() <= match.start("v") and cut.end() <= match.start():
            start = cut.end()
        elif cut.start() >= match.end("v"):
            end = cut.start()
            break
    before = sentence[start : match.start()]
    if _COMPARED.search(before) or (match.re in _STATUS and _TOLD.search(before)):
        return True
    head = sentence[match.start() : match.start("v")]
    head = _PAUSE.split(head)[-1]
    head = re.sub(r"can(?:['’]t|not) stand|would be|doesn['’]t", "", head)
    after = sentence[match.end("v") : end]
    return any(_UNREAL.search(part) for part in (before, head)) or _AFTER.search(after) is not None


# "explain it like I'm ten", "the place where we got engaged"
_COMPARED = re.compile(r"\b(?:like|as if|where)\s*$", re.IGNORECASE)
_TOLD = re.compile(r"\b(?:when|since|before|after|day|until)\s*$", re.IGNORECASE)
_STATUS = frozenset(p.regex for p in SPEAKER if p.attribute == "relationship_status")
_PAUSE = re.compile(r"[.;!?,]\s")
_AFTER = re.compile(r"\b(?:any ?more|if|would|until|as a kid|back then|unless)\b", re.IGNORECASE)


# "to say it" of "I hate to say it", and adverbs that a value never ends with.
_A_FIGURE_OF_SPEECH = re.compile(
    r"to (?:say|admit|tell|break|bother|ask|see|hear|complain|brag|interrupt|think|be)\b"
)
_TRAILING = re.compile(
    r"(?:[\s,]+(?:please|too|now|lately|again|anyway|though|honestly|actually|really|already|always|still|together|"
    r"underneath|today|tonight|here|there|a lot|so much|very much|the most|more|most|best|instead|also|then|"
    r"more than ever|every(?: \w+)?|all the time|for now|by the way))+$",
    re.IGNORECASE,
)


def _of_speaker(attribute: str, match: re.Match[str], speaker: str) -> Triple | None:
    value = _TRAILING.sub("", match["v"]).strip(" ,'’-")
    if attribute == "*own":
        return _own_part(speaker, match)
    if not value or _no_value_of(attribute, value, speaker):
        return None
    if attribute == "*favourite":
        thing = match["x"].strip().replace(" ", "_")
        return Triple(speaker, FAVOURITE_PREFIX + thing, value)
    if attribute == "diet":
        value = value.lower()
    elif attribute == "pet":
        value = f"{value} ({match['x']})"
    elif attribute in {"home_city", "employer", "partner", "school"}:
        value = re.sub(r"['’]s$", "", value).removeprefix("the ")
    return Triple(speaker, attribute, value.removeprefix("to "))


_FREE = frozenset({"likes", "dislikes", "hobby", "job_title", "allergy"})


def _no_value_of(attribute: str, value: str, speaker: str) -> bool:
    """Whether the words found cannot be a value of the attribute."""
    if attribute in _FREE:
        plain = value.removeprefix("to ")
        return (
            _A_FIGURE_OF_SPEECH.match(value) is not None
            or _NOT_A_VALUE.match(plain) is not None
            or plain.count(" ") > 7
            or plain == speaker
        )
    if attribute == "*favourite":
        words = value.split()
        vague = _NOT_A_VALUE.match(value) and words[0].lower() not in {"the", "a", "an", "my"}
        return bool(vague) or len(words) > 8
    if attribute == "employer":
        return value.islower() and value.rsplit(maxsplit=1)[-1] in _NOT_AN_EMPLOYER
    return attribute == "home_city" and value.split(",", maxsplit=1)[0] in _NOT_A_PLACE


def _no_place(value: str) -> bool:
    first = value.split(",", maxsplit=1)[0].split(maxsplit=1)[0]
    return first in _NOT_A_PLACE or first in MONTHS or first.lower() in WEEKDAYS


_NOT_AN_EMPLOYER = frozenset(
    [
        "moment",
        "end",
        "beginning",
        "start",
        "same",
        "top",
        "bottom",
        "weekend",
        "gym",
        "back",
        "front",
        "time",
        "bus",
        "station",
        "door",
        "table",
    ]
)


def _own_part(speaker: str, match: re.Match[str]) -> Triple | None:
    """`the search service is mine`."""
    thing = match["v"].strip()
    if re.match(r"(?:fault|pleasure|idea|this|that|it|a|one|choice)\b", thing):
        return None
    return Triple(thing, "owner", speaker)


_OPENER = re.compile(r"^(?:(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day|So|And|But|Then|Now) ")


def _of_team(attribute: str, match: re.Match[str], base: date) -> Triple | None:
    """Dates become ISO days, so that two ways to write one day are one value."""
    fields = match.groupdict()
    subject = _OPENER.sub("", (fields.get("s") or fields.get("t") or "").strip())
    value = match["v"].strip(" ,")
    if attribute in {"launch_date", "deadline"}:
        value = _iso_day(value, base)
        subject = subject or ("launch" if attribute == "launch_date" else "deadline")
    if not value or _no_subject_of(attribute, subject):
        return None
    if attribute == "home_city" and (not subject or _no_place(value)):
        return None
    if attribute == "job_title":
        value = _TRAILING.sub("", value)
    if value in {"The", "I", "We", "free", "out", "late", "back", "happy"}:
        return None
    return Triple(subject or "team", attribute, value)


def _no_subject_of(attribute: str, subject: str) -> bool:
    """Whether the words found cannot be what the attribute is of."""
    if subject.lower() in {"it", "this", "that", "he", "she", "a", "one", "move"}:
        return True
    if _TITLE_WORDS & set(subject.split()):
        return True
    if attribute == "owner":
        return not subject or re.match(_SOMEBODYS, subject) is not None
    return attribute == "job_title" and not subject


_SOMEBODYS = re.compile(r"(?:a|an|his|her|their|my|our|two|some|up)\b")


def _iso_day(words: str, base: date) -> str:
    """The day that the words begin with, or "from 24 April to" leads to; "" where there is none."""
    if not words.startswith(("on ", "by ", "in ")):
        words = f"on {_BEFORE_DAY.sub('', words)}"
    dates = find_dates(words, base)
    if not dates or dates[0].start > 4:
        return ""
    when = dates[1 if len(dates) > 1 and _FROM_TO.match(words) else 0]
    one_day = (when.last - when.first).days == 1
    return when.first.isoformat() if one_day else (when.label or words[when.start : when.end])
