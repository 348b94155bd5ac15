"""Habits: what is said to be done regularly, begun or given up, or is done again and again."""

import re
from collections.abc import Iterator
from functools import cache

from operators.extract.first_person import third_person
from operators.extract.words import load_words
from operators.personas.claims import (
    DIRECT,
    INDIRECT,
    REPORTED,
    SELF,
    UNREAL,
    Claim,
    Said,
    plain_value,
)
from operators.personas.habit_patterns import (
    ACTIVITIES,
    BEGAN,
    BY_ITSELF,
    DEED,
    DID,
    EVERY,
    NO_GERUND,
    NOT_A_HABIT,
    OFTEN,
    PLAYED,
    SINCE,
    STOPPED,
    TURN,
    USUALLY,
    WENT,
)


@cache
def _present() -> frozenset[str]:
    """Third-person and base forms of verbs of doing."""
    base = frozenset(load_words("present_verbs.txt"))
    return (base | {third_person(verb) for verb in base}) - NOT_A_HABIT


def habits(said: Said) -> Iterator[Claim]:
    """Habits of the speaker. Deeds are marked as to be believed only when repeated."""
    if not (OFTEN.search(said.whole) or TURN.search(said.whole) or DEED.search(said.whole)):
        return
    for sentence in said.sentences:
        if SELF not in sentence and "We " not in sentence and "we " not in sentence:
            continue
        if OFTEN.search(sentence):
            yield from _stated(said, sentence)
        if TURN.search(sentence):
            yield from _begun(said, sentence)
        if DEED.search(sentence):
            yield from _done(said, sentence)


def _stated(said: Said, sentence: str) -> Iterator[Claim]:
    for pattern in (EVERY, USUALLY):
        match = pattern.search(sentence)
        if match is None or match["verb"] not in _present() or _unreal(sentence, match):
            continue
        how = f"{match['how']} " if pattern is USUALLY else ""
        verb = match["verb"] if match["me"] else third_person(match["verb"])
        if match["me"] and not verb.endswith("s"):
            continue
        value = plain_value(f"{how}{verb} {match['v'].strip()}")
        if pattern is USUALLY:
            value = _first_verb_only(value)
        value = _SECOND_VERB.sub(lambda m: f"{m[1]} and {_conjugated(m[2])}", value)
        if len(value.split()) < (3 if match["me"] else 4) or _LOOSE.search(value):
            continue
        weight = DIRECT if match["me"] else REPORTED
        yield Claim(said.row, said.speaker, "habit", "habit", value, value.casefold(), weight)


def _begun(said: Said, sentence: str) -> Iterator[Claim]:
    for pattern, ends in ((BEGAN, False), (SINCE, False), (STOPPED, True)):
        match = pattern.search(sentence)
        if match is None or NO_GERUND.match(match["v"]) or _unreal(sentence, match):
            continue
        value = plain_value(match["v"])
        if not _LOOSE.search(value) and (" " in value or value in BY_ITSELF):
            key = _activity_key(value)
            yield Claim(said.row, said.speaker, "habit", "habit", value, key, REPORTED, ends=ends)


def _done(said: Said, sentence: str) -> Iterator[Claim]:
    for pattern in (DID, WENT, PLAYED):
        for match in pattern.finditer(sentence):
            if _unreal(sentence, match):
                continue
            value = match["v"]
            if pattern is PLAYED:
                value = f"playing {value}"
            value = ACTIVITIES.get(value, value)
            key = _activity_key(value)
            yield Claim(
                said.row, said.speaker, "habit", "habit", value, key, INDIRECT, repeated=True
            )


_SECOND_VERB = re.compile(r"^((?:[a-z]+ )?[a-z]+s) and ([a-z]+)\b")


def _first_verb_only(value: str) -> str:
    """ "grabs a snack and head out" without what the second verb says."""
    for joint in re.finditer(r" and ([a-z]+)\b", value):
        head = value[: joint.start()]
        if (joint[1] in _present() or joint[1] in _NOUNS_TOO) and len(head.split()) > 3:
            return head
    return value


_NOUNS_TOO = frozenset({"head", "get", "set", "then", "leave", "check", "eat"})


def _conjugated(word: str) -> str:
    return third_person(word) if word in _present() and not word.endswith("s") else word


_LOOSE = re.compile(r"\b(?:it|this|that|these|those|them|you|your|him|her|same|there|here)\b|@")


def _activity_key(value: str) -> str:
    return value.casefold()


def _unreal(sentence: str, match: re.Match[str]) -> bool:
    """Whether the clause denies, supposes or wishes what the pattern found."""
    before = _BREAK.split(sentence[: match.start("v")])[-1]
    after = _BREAK.split(sentence[match.start("v") :], maxsplit=1)[0]
    return UNREAL.search(before) is not None or UNREAL.search(after) is not None


_BREAK = re.compile(r"[,.;:!–—]\s*| - |\b(?:but|so)\b")
