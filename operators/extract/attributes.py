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
from operators.extract.dates import find_dates


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
    r"everything|my|a|an|the|some|all|me|one|so|such|hearing|seeing|knowing|being able|having|our|his|their|its|there|is|are|was|makes|make|makes|every|just|about|more|not|being there|to$|help$|hear$|see$|doing$|both|when|getting lost$|most$)\b",
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
_TITLE_WORDS = frozenset(["and", "is", "was", "has", "will", "the", "my", "who"])


def find_triple(sentence: str, speaker: str, base: date) -> Triple | None:
    """The first attribute that `sentence`, said by `speaker` on day `base`, states; else None."""
    if sentence.rstrip(" \"'”)").endswith("?"):
        return None
    low = sentence.lower()
    return next(_found(sentence, low, speaker, base), None)


def _found(sentence: str, low: str, speaker: str, base: date) -> Iterator[Triple]:
    """Candidates in order of the tables: attributes of the speaker, then of the team."""
    if _FIRST.search(sentence):
        for pattern in SPEAKER:
            if _has(low, pattern.keys):
                for match in pattern.regex.finditer(sentence):
                    if not _unreal(sentence, match):
                        triple = _of_speaker(pattern.attribute, match, speaker)
                        if triple:
                            yield triple
    for pattern in TEAM:
        if _has(low, pattern.keys):
            match = pattern.regex.search(sentence)
            if match and not _unreal(sentence, match):
                triple = _of_team(pattern.attribute, match, base)
                if triple:
                    yield triple


def _has(low: str, keys: tuple[str, ...]) -> bool:
    for key in keys:  # noqa: SIM110 - a generator costs more than the search here
        if key in low:
            return True
    return False


_FIRST = re.compile(r"\b(?:I|[Mm]y|[Ww]e)\b")


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
    head = sentence[match.start() : match.start("v")]
    head = re.sub(r"can(?:['’]t|not) stand|would be|doesn['’]t", "", head)
    after = sentence[match.end("v") : end]
    return any(_UNREAL.search(part) for part in (before, head)) or _AFTER.search(after) is not None


_AFTER = re.compile(r"\b(?:any ?more|if|would|until|as a kid|back then|unless)\b", re.IGNORECASE)


def _of_speaker(attribute: str, match: re.Match[str], speaker: str) -> Triple | None:
    value = match["v"].strip(" ,'’-").removeprefix("to ")
    free = attribute in {"likes", "dislikes", "hobby", "job_title", "allergy"}
    if free and (not value or _NOT_A_VALUE.match(value) or value.count(" ") > 7):
        return None
    if attribute == "home_city" and value.split(",")[0] in _NOT_A_PLACE:
        return None
    if attribute == "likes" and value.istitle() and value == speaker:
        return None
    if attribute == "*favourite":
        thing = match["x"].strip().replace(" ", "_")
        words = value.split()
        if len(words) > 8 or (
            _NOT_A_VALUE.match(value) and words[0].lower() not in {"the", "a", "an", "my"}
        ):
            return None
        return Triple(speaker, FAVOURITE_PREFIX + thing, value)
    if attribute == "pet":
        value = f"{value} ({match['x']})"
    if attribute in {"home_city", "employer", "partner", "school"}:
        value = re.sub(r"['’]s$", "", value)
    return Triple(speaker, attribute, value) if value else None


def _of_team(attribute: str, match: re.Match[str], base: date) -> Triple | None:
    """Dates become ISO days, so that two ways to write one day are one value."""
    fields = match.groupdict()
    subject = (fields.get("s") or fields.get("t") or "").strip()
    value = match["v"].strip(" ,")
    if attribute in {"launch_date", "deadline"}:
        value = (
            value
            if value.startswith(("on ", "by ", "in "))
            else f"on {value.removeprefix('to ').removeprefix('for ')}"
        )
        dates = find_dates(value, base)
        if not dates or dates[0].start > 4:
            return None
        days = (dates[0].last - dates[0].first).days
        value = (
            dates[0].first.isoformat()
            if days == 1
            else (dates[0].label or value[dates[0].start : dates[0].end])
        )
        subject = subject or ("launch" if attribute == "launch_date" else "deadline")
    if subject.lower() in {"it", "this", "that", "he", "she", "a", "one"} or _TITLE_WORDS & set(
        subject.split()
    ):
        return None
    if attribute == "owner" and (
        not subject or re.match(r"(?:a|an|his|her|their|my|our|two|some|up)\b", subject)
    ):
        return None
    if attribute == "vendor" and match["v"] in {"The", "I", "We"}:
        return None
    return Triple(subject or "team", attribute, value)
