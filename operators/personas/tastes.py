"""Likings that statements name, and which values are worth remembering."""
# ruff: noqa: E501 - a pattern reads best on one line

import re
from collections.abc import Collection, Iterator

from operators.personas.claims import DIRECT, REPORTED, UNREAL, Claim, Said, plain_value, words

_OPEN = r"(?:^|[.,;:–—-]\s*|\b(?:[Aa]nd|[Bb]ut|Also|Oh|because|since|so|though|well|yeah|yes)\s+)"
_ADVERBS = r"(?:(?:really|absolutely|just|also|still|totally|always|especially|particularly|both|personally|definitely) )*"
_VALUE = r"(?P<v>[A-Za-z][\w'’@& -]{1,60}?)"
_STOP = r"(?=\s*(?:[.,;:!()–—\[…]|- |$)|\s+(?:- |(?:I|@|because|cause|since|so|when|while|which|who|that|where|but|although|though|as|if|too|lately|these|this|last|ever|it|please|anyway|again|instead|already|every|more|than|right|at the|for the|from the|now|today|the most|a lot|so much|very much)\b|['’]cause|and (?:I|@|we|it|you|he|she|they|their|my|our|is|am|was|have|has|can|will|would|also|just|really|how|then|\w+s|feel|feeling)\b))"
_LIKES = re.compile(
    rf"{_OPEN}(?:@|(?P<us>[Ww]e)) {_ADVERBS}"
    rf"(?P<verb>loves?|likes?|enjoys?|adores?|prefers?|(?:is|are) {_ADVERBS}(?:really |so |very )?(?:into|fond of|passionate about|crazy about|obsessed with)|is (?:a )?(?:big |huge )?fan of) {_VALUE}{_STOP}"
)
_DISLIKES = re.compile(
    rf"{_OPEN}@ {_ADVERBS}(?P<verb>hates?|dislikes?|despises?|can(?:['’]t|not) stand|(?:doesn['’]t|does not|never) (?:really )?(?:likes?|liked|enjoys?)|is not (?:a fan of|into)|isn['’]t (?:a fan of|into)) {_VALUE}{_STOP}"
)
_NO_MORE = re.compile(
    rf"{_OPEN}@ (?:no longer (?:likes|loves|enjoys)|doesn['’]t (?:like|love|enjoy)) (?P<v>[a-z][\w' -]{{1,40}}?)(?: any ?more\b|(?<=no longer)){_STOP}"
)
_STRONG = re.compile(r"love|adore|hate|despise|stand|passion|crazy|obsess|fan")
_VAGUE = re.compile(
    r"(?:the|this|that|these|those|a|an|it|its|them|him|her|you|your|how|what|when|where|one|some|all|any|every\w*|"
    r"such|his|hers|there|is|are|was|just|about|more|most|not|to|being able|being (?:part|there)|having|hearing|"
    r"seeing|knowing|talking|making|doing|being|getting|going|trying|keep|keeping|help|hear|see|do|get to|have|be|know|say|"
    r"admit|complain|bother|ask|tell|think|brag|interrupt|break|meet|both|when|@|our|their (?!own))\b",
    re.IGNORECASE,
)
_ANYWHERE = re.compile(
    r"\b(?:it|them|this|that|these|those|you|your|him|her|how|what|when|then|why|one another|each other|our|us|being able|there)\b",
    re.IGNORECASE,
)
_DANGLING = re.compile(
    r"\b(?:to|of|with|for|in|on|at|by|from|and|or|a|an|the|their|about|into|so)$"
)
_THINGS = words(
    "stories things stuff people everything anything something working doing making going "
    "having being talking helping getting trying thinking life time way idea ideas challenge "
    "challenges change changes support work sound look feeling feel place places look vibe"
)


def worthy(value: str, people: Collection[str], *, strong: bool = True) -> bool:
    """Whether a liking's value means something without the conversation around it.

    >>> worthy("live music", ()), worthy("it when you sing", ()), worthy("escaping to", ())
    (True, False, False)
    """
    words = value.split()
    if (
        not words
        or len(words) > 7
        or "@" in value
        or _VAGUE.match(value)
        or _ANYWHERE.search(value)
    ):
        return False
    if _DANGLING.search(value) or any(name in value for name in people):
        return False
    if len(words) == 1:
        # "I like Ema" is said of a choice at hand; "I love Paris" is a taste.
        return value.casefold() not in _THINGS and len(value) > 2 and (strong or value.islower())
    return True


def taste_key(value: str) -> str:
    """The value by which two likings are equal."""
    key = value.casefold().removeprefix("to ")
    return key[:-1] if key.endswith("s") and not key.endswith(("ss", "is", "us")) else key


def tastes(said: Said, people: Collection[str]) -> Iterator[Claim]:
    """Likings and dislikings of the speaker."""
    if _TASTE.search(said.whole) is None:
        return
    for sentence in said.sentences:
        if _TASTE.search(sentence) is None:
            continue
        for attribute, pattern in (("likes", _LIKES), ("dislikes", _DISLIKES)):
            for match in pattern.finditer(sentence):
                strong = _STRONG.search(match["verb"]) is not None
                value = _whole(match)
                if _cut_short(match) or not worthy(value, people, strong=strong):
                    continue
                us = attribute == "likes" and match["us"]
                key, weight = taste_key(value), REPORTED if us or not strong else DIRECT
                yield Claim(said.row, said.speaker, "preference", attribute, value, key, weight)
        for match in _NO_MORE.finditer(sentence):
            value = plain_value(match["v"])
            if worthy(value, people):
                key = taste_key(value)
                yield Claim(
                    said.row, said.speaker, "preference", "likes", value, key, REPORTED, ends=True
                )


def _cut_short(match: re.Match[str]) -> bool:
    """Whether the sentence supposes it, or says more of the value than the value holds."""
    sentence, end = match.string, match.end("v")
    before = re.split(r"[.,;:]", sentence[: match.start("verb")])[-1]
    if UNREAL.search(before) or _AFTER.match(sentence, end) or _NARROWED.match(sentence, end):
        return True
    # "loves practising it" is cut before "it", and means nothing without.
    gerund = " " not in match["v"] and match["v"].endswith("ing")
    if gerund and _GOES_ON.match(sentence, end):
        return True
    return match["verb"].startswith("prefer") and sentence[end : end + 1] == ","


def _whole(match: re.Match[str]) -> str:
    """The value, without the beginning of a second one that the pattern cut off."""
    value = plain_value(match["v"]).removeprefix("to ").removesuffix(" together")
    value = re.sub(r" to \w+$", "", value) if value.split(" ", 1)[0].endswith("ing") else value
    following = match.string[match.end("v") : match.end("v") + 2]
    return _SECOND.sub("", value) if following[:1] == " " and following[1:2].isalpha() else value


_GOES_ON = re.compile(r" (?!while|and|because|so|but|with|@)\w")
_NARROWED = re.compile(r"\s+(?:that|which|who|where|when|if)\b")
_SECOND = re.compile(r" and \w+$")
_AFTER = re.compile(r"[^.!?;]{0,30}\b(?:if|would|any ?more|until|unless|to be)\b")
_TASTE = re.compile(
    r"love|like|enjoy|adore|prefer|into|fond|passionate|crazy|obsessed|fan of|hate|despise|stand"
)
