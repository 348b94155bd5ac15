"""Words of a text as search terms: lower case, no function words, plural and tense stripped."""

import re
from functools import lru_cache

_WORD = re.compile(r"[^\W_]+(?:'[a-z]+)?")
_VOWEL = re.compile(r"[aeiouy]")

_FUNCTION_WORDS = """
a an the and or but if then so of to in on at by for with from about as into is am are was were be
been being do does did done have has had having i me my mine we us our you your yours he him his
she her hers it its they them their this that these those what which who whom whose when where why
how there here not no can could would should will shall may might must just also than too very s t
re ve ll d m one some any all
"""
STOP_WORDS = frozenset(_FUNCTION_WORDS.split())


def words(text: str) -> list[str]:
    """Lower-case words; an apostrophe and what follows is cut off (Ada's -> ada)."""
    lower = text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    return [w.split("'")[0] for w in _WORD.findall(lower)]


def terms(text: str) -> list[str]:
    """Search terms of a text, in order, with repetitions."""
    return [stem(w) for w in words(text) if w not in STOP_WORDS]


@lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """Strip plural and tense endings; a light version of Porter's first step (1980).

    Light on purpose: what it merges (painted, paints, painting) a reader would merge too.
    """
    if len(word) <= 3 or not word.isascii():
        return word
    word = _strip_tense(_strip_plural(word))
    if word.endswith("ly") and len(word) > 5:
        word = word[:-2]
    return word[:-1] if word.endswith("e") and len(word) > 3 else word


def _strip_plural(word: str) -> str:
    if len(word) > 4:
        for ending, instead in (("sses", "ss"), ("ies", "y"), ("ied", "y")):
            if word.endswith(ending):
                return word.removesuffix(ending) + instead
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _strip_tense(word: str) -> str:
    for ending in ("ing", "ed"):
        base = word.removesuffix(ending)
        if base != word and len(base) >= 3 and _VOWEL.search(base):
            if len(base) > 3 and base[-1] == base[-2] and base[-1] not in "lsz":
                return base[:-1]
            return base
    return word
