"""What two sentences must share before they may count as one statement.

High cosine is not equivalence: "two dogs" and "three dogs", "likes" and "does not like",
"Ann gave Ben a book" and the reverse are close as vectors. `guard` collects what must be
equal; facts with different guards are never compared.
"""

import re
import unicodedata
from collections.abc import Iterable

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_NUMBER = re.compile(r"\d+(?:[.,:/-]\d+)*")
_BETWEEN = re.compile(r"[^\w+#%$€£'.,:/-]+|[.,:/'-]+(?!\w)|(?<!\w)[.,:/'-]+")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NEGATIONS = _words("no not never none nobody nothing neither nor nowhere without cannot hardly")
_NUMBER_WORDS = _words(
    "one two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty "
    "hundred thousand million first second third half once twice dozen"
)
_OPPOSITES = _words(
    "love like enjoy hate dislike loved liked hated loves likes hates dislikes start started "
    "stop stopped quit begin began end ended before after increase decrease more less buy "
    "bought sell sold win won lose lost open opened close closed arrive arrived leave left "
    "always sometimes rarely often good bad better worse best worst big small hot cold happy "
    "sad married divorced pass passed fail failed accept accepted reject rejected lend borrow "
    "used will would might can could should must may was were is are mother father sister "
    "brother son daughter wife husband"
)

_CALENDAR = _words(
    "monday tuesday wednesday thursday friday saturday sunday january february march april may "
    "june july august september october november december morning noon afternoon evening night "
    "today yesterday tomorrow tonight spring summer autumn fall winter"
)
_POLAR = _OPPOSITES | _CALENDAR

Guard = tuple[tuple[str, ...], ...]


def exact_form(text: str) -> str:
    """The text without case, spacing and punctuation between words.

    Signs inside a word or number stay (3.50, don't, C++), since they carry sense.
    """
    folded = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    return " ".join(_BETWEEN.sub(" ", folded).split()) or folded


def guard(text: str, entities: Iterable[str]) -> Guard:
    """Numbers, names in order, negations, calendar and polar words, equal in equal statements."""
    as_written = _WORD.findall(text)
    words = [word.casefold().replace("’", "'") for word in as_written]
    numbers = sorted([*_NUMBER.findall(text), *(word for word in words if word in _NUMBER_WORDS)])
    negations = [word for word in words if word in _NEGATIONS or word.endswith("n't")]
    polar = sorted({word for word in words if word in _POLAR})
    named = sorted({" ".join(name.casefold().split()) for name in entities})
    # The first word is capitalised by its place; a name there is among the entities.
    names = [
        word
        for raw, word in zip(as_written[1:], words[1:], strict=True)
        if raw[0].isupper() and word.partition("'")[0] != "i"
    ]
    return tuple(numbers), (str(len(negations)),), tuple(polar), tuple(named), tuple(names)


def shared_words(one: str, other: str) -> float:
    """Share of common words among the words of both (Jaccard), four digits."""
    left, right = (set(_WORD.findall(text.casefold())) for text in (one, other))
    return round(len(left & right) / max(len(left | right), 1), 4)
