"""Importance of a statement, 0..1.

SuperLocalMemory: 0.3 + 0.2 emotion + 0.2 date + up to 0.3 prominence of names and numbers;
questions and code count less.
"""

import re

_EMOTION = re.compile(
    r"\b(?:love[ds]?|hate[ds]?|excit\w+|happy|happiest|sad|proud|scared|afraid|worr\w+|anxious|nervous|grateful|thrilled|"
    r"upset|angry|lonely|devastat\w+|heartbroken|amaz\w+|terrible|awful|miss(?:ed)?|cry|cried|joy|fear|stress\w*|"
    r"overwhelm\w+|inspir\w+|favou?rite|dream|passion\w*|engaged|married|died|death|born|pregnant|divorce\w*)\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\d+")

_BASE, _FELT, _DATED, _PER_NAME, _MAX_PROMINENCE = 0.3, 0.2, 0.2, 0.1, 0.3
_QUESTION_FACTOR, _CODE_FACTOR = 0.4, 0.3


def importance(text: str, *, names: int, dated: bool, question: bool, code: bool) -> float:
    """Score of a statement: `names` it holds beside the speaker, whether it has a date."""
    numbers = 1 if _NUMBER.search(text) else 0
    score = _BASE + min(_MAX_PROMINENCE, _PER_NAME * (names + numbers))
    score += _FELT if _EMOTION.search(text) else 0.0
    score += _DATED if dated else 0.0
    if question:
        score *= _QUESTION_FACTOR
    if code:
        score *= _CODE_FACTOR
    return round(min(1.0, score), 4)
