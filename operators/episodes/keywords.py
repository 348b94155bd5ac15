"""Keywords of a few texts, from these texts alone.

After YAKE! (Campos et al. 2020, https://doi.org/10.1016/j.ins.2019.09.013): no corpus is
asked how rare a word is; casing, position, frequency and dispersion over the texts decide.
Unlike YAKE's, the score rises with the worth of a term and is a sum of shares in 0..1.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from functools import lru_cache
from itertools import chain, pairwise
from typing import NamedTuple, TypeVar

from operators.extract.words import load_words
from operators.recall.terms import STOP_WORDS, stem

_NOISE = re.compile(
    r"https?://\S+"
    r"|\[image:[^\]]*(?:\]|$)"  # captions are a machine's words, much alike
    r"|\([^()]*\b\d{4}\b[^()]*\)"  # dates that the extractor resolved
)
# Words with what joins them, or a run of anything that ends a phrase.
_TOKEN = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*|[.!?\n]|[^\w\s'’]")
_SENTENCE_END = frozenset(".!?\n:*#")
_STOPPED = STOP_WORDS.union(
    *(load_words(f"{name}.txt") for name in ("filler_words", "ack_words", "entity_stop_words"))
)
_STOP_STEMS = frozenset(map(stem, _STOPPED)) - {""}
# These may be part of a name: United States, Marshall Plan.
_COMMON = load_words("keyword_stop_words.txt")
_COMMON_STEMS = frozenset(map(stem, _COMMON))
_LONGEST_ACRONYM = 5
_NAME_BONUS = 0.2
_USED_NAME_BONUS = 0.3  # times the share: names that come back say more than names in a list
# A phrase comes before its words if it is most of their use.
_BONUS = {1: 1.0, 2: 1.4, 3: 1.5}
_LEAST_USES = (3, 2, 1)  # of the words that are looked at first, and so on

_Word = tuple[str, str, bool]
"""Stem, surface, and whether it is capitalised though it does not begin a sentence."""

BREAK: _Word = ("", "", False)

Phrases = list[_Word]
"""A text as runs of content words with nothing between them, and a `BREAK` after each."""

_Stems = tuple[str, ...]
_Places = list[int]
"""Where the first word of a term stands among all words, rising."""

_Ranked = tuple[float, int, _Stems]
"""A term to be sorted: its negative score, its first place, its stems."""

_Key = TypeVar("_Key", bound=Hashable)


class _Term(NamedTuple):
    """A candidate: its places, and how many of them are capitalised.

    `middle` is the number of the text in the middle of the `texts` that it is in.
    """

    places: _Places
    capitals: int
    texts: int
    middle: int


def keywords(texts: Sequence[str], names: Sequence[str] = (), most: int = 8) -> list[str]:
    """The most telling words, names and phrases of two words, the best first.

    A function of `texts` and their order alone. `names` are left out: the people who speak,
    whom every text names. Common verbs and adjectives, chit-chat, numbers and dates are never
    keywords. No two keywords share a word. Cost: linear in the length of the texts.
    """
    known = name_words(names)
    return best_terms([phrases(text, known) for text in texts], known, most)


def best_terms(texts: Sequence[Phrases], known: frozenset[str], most: int) -> list[str]:
    """The keywords of texts that are cut into phrases already; `known` as for `phrases`."""
    words = list(chain.from_iterable(texts))
    text_of = [at for at, text in enumerate(texts) for _ in text]
    counts = Counter([word[0] for word in words if word is not BREAK])
    if not counts:
        return []
    most_used = max(counts.values())
    terms: dict[_Stems, _Term] = {}
    chosen: list[_Ranked] = []
    # Most words are used once or twice, and hardly any is chosen: they are left for last.
    for least in _LEAST_USES:
        often = {stemmed for stemmed, times in counts.items() if times >= least}
        if least > 1 and len(often) < most:
            continue
        terms = _terms(words, text_of, often)
        widest = max([term.texts for term in terms.values()], default=0)
        ranked = [
            (-_score(len(stems), term, most_used, widest, len(texts)), term.places[0], stems)
            for stems, term in terms.items()
            if not (term.capitals and _is_short_name(stems, known))
        ]
        chosen = _apart(sorted(ranked), most)
        rest = least - 1  # uses, and texts, of what was left out: it can score no more than this
        limit = round((rest / most_used + rest / max(widest, 1)) / 2, 4)
        if widest >= rest and len(chosen) == most and all(-score > limit for score, _, _ in chosen):
            break
    return [_surface(len(stems), terms[stems], words) for _, _, stems in chosen]


def name_words(names: Iterable[str]) -> frozenset[str]:
    """The stems of the words of some names, for `phrases`."""
    return frozenset(
        part for name in names for word in _TOKEN.findall(name) if (part := stem(word.casefold()))
    )


def phrases(text: str, known: frozenset[str]) -> Phrases:
    """The runs of content words of a text, without the `known` names."""
    out: Phrases = []
    start = 0  # of the run
    begins = True
    tokens = _TOKEN.findall(_NOISE.sub(".", text))
    for token, looked_up in zip(tokens, map(_look_up, tokens), strict=True):
        if looked_up is None or looked_up[0][0] in known:
            start = _ended(out, start)
            begins = token in _SENTENCE_END
            continue
        word, name, upper, common, is_closed = looked_up
        if common and not (upper and len(out) > start and out[-1][1][0].isupper()):
            start = _ended(out, start)
            begins = False
            continue
        if upper and not begins and len(out) == start + 1 and out[start][1][0].isupper():
            out[start] = (*out[start][:2], True)  # Red Dead Redemption, at the start of a sentence
        out.append(name if upper and not begins else word)
        begins = False
        if is_closed:
            start = _ended(out, start)
    _ended(out, start)
    return out


def _ended(out: Phrases, start: int) -> int:
    """Close the run from `start`, if there is any; where the next one starts."""
    if len(out) > start:
        out.append(BREAK)
    return len(out)


def keyword_stems(texts: Iterable[str]) -> set[str]:
    """The stems of all words in keywords: what makes two lists of keywords comparable."""
    return {stem(word) for text in texts for word in text.casefold().split()}


def _terms(words: Sequence[_Word], text_of: Sequence[int], often: set[str]) -> dict[_Stems, _Term]:
    """Words said `often` or with a capital, pairs said again or of names, names of three words."""
    stems = [word[0] for word in words]
    pairs = list(pairwise(stems))
    names = [place for place, word in enumerate(words) if word[2]]
    double = [place for place in names if words[place + 1][2]]
    triple = [place for place in double if words[place + 2][2]]
    singles = _found(stems, often | {stems[place] for place in names})
    places: dict[_Stems, _Places] = {(stemmed,): found for stemmed, found in singles.items()}
    wanted = {pair for pair, times in Counter(pairs).items() if times > 1 and all(pair)}
    wanted.update([pairs[place] for place in double])
    places |= _found(pairs, {pair for pair in wanted if pair[0] != pair[1]})
    for place in triple:
        places.setdefault(tuple(stems[place : place + 3]), []).append(place)
    capitals = Counter(
        tuple(stems[place : place + size])
        for size, found in enumerate((names, double, triple), start=1)
        for place in found
    )
    out: dict[_Stems, _Term] = {}
    for term, found in places.items():
        texts = list(dict.fromkeys([text_of[place] for place in found]))
        out[term] = _Term(found, capitals[term], len(texts), texts[(len(texts) - 1) // 2])
    return out


def _found(terms: Iterable[_Key], wanted: set[_Key]) -> dict[_Key, _Places]:
    out: defaultdict[_Key, _Places] = defaultdict(list)
    for place, term in enumerate(terms):
        if term in wanted:
            out[term].append(place)
    return out


@lru_cache(maxsize=1 << 16)
def _look_up(token: str) -> tuple[_Word, _Word, bool, bool, bool] | None:
    """The word as any other and as a name; whether it has a capital, is common, ends its run.

    None for what is no keyword.
    """
    surface = token
    head, mark, tail = token.replace("’", "'").partition("'")
    if mark:
        if tail.casefold() != "s":
            return None  # don't, we'll; names such as O'Neill are rare
        surface = head
    lower = surface.casefold()
    acronym = len(surface) > 1 and surface.isupper()
    if acronym and len(surface) > _LONGEST_ACRONYM:  # a shout
        acronym, surface = False, surface.lower()
    if (not acronym and len(lower) < 3) or not any(map(str.isalpha, lower)) or lower[0].isdigit():
        return None
    stemmed = stem(lower)
    if lower in _STOPPED or stemmed in _STOP_STEMS:
        return None
    common = lower in _COMMON or stemmed in _COMMON_STEMS
    word, name = (stemmed, surface, acronym), (stemmed, surface, True)
    is_closed = len(surface) != len(token)  # Ada's: what follows is another phrase
    return word, name, surface[0].isupper(), common, is_closed


def _is_short_name(stems: _Stems, known: frozenset[str]) -> bool:
    """Whether a name may be short for a known one: Mel for Melanie."""
    word = stems[0]
    return len(stems) == 1 and len(word) >= 3 and any(name.startswith(word) for name in known)


def _score(size: int, term: _Term, most_used: int, widest: int, texts: int) -> float:
    share = (len(term.places) / most_used + term.texts / widest) / 2
    casing = (_NAME_BONUS + _USED_NAME_BONUS * share) * term.capitals / len(term.places)
    late = term.middle / texts
    return round(_BONUS[size] * (share + casing) / (1 + late / 2), 4)


def _apart(ranked: Iterable[_Ranked], most: int) -> list[_Ranked]:
    """The first terms that share no word."""
    out: list[_Ranked] = []
    taken: set[str] = set()
    for one in ranked:
        if len(out) == most:
            break
        if taken.isdisjoint(one[2]):
            taken.update(one[2])
            out.append(one)
    return out


def _surface(size: int, term: _Term, words: Sequence[_Word]) -> str:
    """The usual spelling; lower case where capitals come from the start of a sentence."""
    runs = [words[place : place + size] for place in term.places]
    times = Counter([" ".join([word[1] for word in run]) for run in runs])
    spelling = min(times, key=lambda s: (-times[s], s.isupper(), s))
    # Never in lower case, though it is used again and again: a name.
    is_name = len(runs) > 2 and not any(map(str.islower, times))
    return spelling if is_name or 2 * term.capitals >= len(runs) else spelling.casefold()
