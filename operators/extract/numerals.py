"""Numbers in a text, in one form whether written in digits or in words."""

import re
from collections.abc import Iterator
from typing import NamedTuple

_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_ORDINALS = {
    "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9,
    "tenth": 10, "eleventh": 11, "twelfth": 12, "twentieth": 20, "thirtieth": 30,
}  # fmt: skip
_WORDS = (
    {word: n for n, word in enumerate(_UNITS.split())}
    | {word: 10 * n for n, word in enumerate(_TENS.split(), 2)}
    | _ORDINALS
    | {"dozen": 12}
)
# Said of a number without naming it: they support one, but claim none.
_HINTS = {
    "couple": 2, "both": 2, "pair": 2, "twice": 2, "double": 2, "twin": 2, "twins": 2,
    "second": 2, "half": 0.5, "once": 1, "first": 1, "triple": 3, "thrice": 3, "quarter": 4,
}  # fmt: skip
_SCALES = {
    "hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000,
    "k": 1_000, "m": 1_000_000, "mil": 1_000_000, "bn": 1_000_000_000,
}  # fmt: skip

_PART = re.compile(
    r"(?P<digits>\d+(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:\.\d+)?(?!\.\d))(?P<suffix>[kKmM](?![a-zA-Z]))?"
    r"|(?P<more>\d+)|(?P<word>[^\W\d_]+)"
)


class Number(NamedTuple):
    """A number and the words for it, text[start:end]."""

    value: str
    start: int
    end: int


def find_numbers(text: str) -> list[Number]:
    """Numbers that `text` names, in order, without 0 and 1, which words like "one" may not mean."""
    return [n for n in _numbers(text) if n.value not in {"0", "1"}]


def numbers_said(text: str) -> frozenset[str]:
    """All that `text` supports: its numbers, their parts, and those hinted at ("both", "'90s")."""
    said = {number.value for number in _numbers(text)}
    for match in _PART.finditer(text):
        word = (match["word"] or "").casefold()
        if word in _WORDS or word in _HINTS:
            said.add(_form(_WORDS.get(word, _HINTS.get(word, 0))))
        elif not match["word"]:
            said.update(_form(float(part)) for part in re.findall(r"\d+", match.group()))
    # "1998" supports "'98".
    return frozenset(said | {_form(float(n[2:])) for n in said if re.fullmatch(r"(19|20)\d\d", n)})


def _numbers(text: str) -> Iterator[Number]:
    """Numbers, with words that follow each other read together: "two hundred and five"."""
    total = current = 0.0
    start = end = -1
    for match in _PART.finditer(text):
        part = _value(match)
        joined = start >= 0 and _JOINT.fullmatch(text, end, match.start()) is not None
        word = (match["word"] or "").casefold()
        if joined and word in _SCALES:
            current = max(current, 1) * _SCALES[word]
            if _SCALES[word] > _SCALES["hundred"]:
                total, current = total + current, 0.0
            end = match.end()
            continue
        if part is None:
            if joined and word == "and":
                continue
            if start >= 0:
                yield Number(_form(total + current), start, end)
            total, current, start = 0.0, 0.0, -1
            continue
        if start >= 0 and not (joined and match["word"] and _goes_on(current, part)):
            yield Number(_form(total + current), start, end)
            total, current, start = 0.0, 0.0, -1
        current += part
        start, end = (match.start() if start < 0 else start), match.end()
    if start >= 0:
        yield Number(_form(total + current), start, end)


_JOINT = re.compile(r"[\s-]*(?:and\s+)?")
_TEN, _HUNDRED = 10, 100


def _goes_on(current: float, part: float) -> bool:
    """Whether `part` continues the number so far: twenty-five, hundred five, thousand two."""
    if current == 0 or current % _HUNDRED == 0:
        return part < _HUNDRED
    return current % _TEN == 0 and current % _HUNDRED >= 2 * _TEN and part < _TEN


def _value(match: re.Match[str]) -> float | None:
    if match["word"]:
        return _WORDS.get(match["word"].casefold())
    number = float((match["digits"] or match["more"]).replace(",", ""))
    return number * _SCALES[match["suffix"].lower()] if match["suffix"] else number


def _form(number: float) -> str:
    return f"{number:.6f}".rstrip("0").rstrip(".")
