"""Keywords of a few texts, from these texts alone.

After YAKE! (Campos et al. 2020, https://doi.org/10.1016/j.ins.2019.09.013): no corpus is
asked how rare a word is; casing, position, frequency and dispersion over the texts decide.
Unlike YAKE's, the score rises with the worth of a term and is a sum of shares in 0..1.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

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


@dataclass(slots=True)
class _Term:
    """What is known of a candidate: where it occurs, and how it is written."""

    first: tuple[int, int]
    count: int = 0
    capitals: int = 0
    texts: list[int] = field(default_factory=list[int])
    surfaces: dict[str, int] = field(default_factory=dict[str, int])

    def add(self, surface: str, capital: bool, at: int) -> None:
        self.count += 1
        self.capitals += capital
        if not self.texts or self.texts[-1] != at:
            self.texts.append(at)
        self.surfaces[surface] = self.surfaces.get(surface, 0) + 1


_Word = tuple[str, str, bool]
"""Stem, surface, and whether it is capitalised though it does not begin a sentence."""

Phrases = list[list[_Word]]
"""A text as runs of content words with nothing between them."""


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
    terms: dict[tuple[str, ...], _Term] = {}
    for at, text in enumerate(texts):
        _count(text, at, terms)
    if not terms:
        return []
    most_used = max(term.count for term in terms.values())
    widest = max(len(term.texts) for term in terms.values())
    ranked: list[tuple[float, tuple[int, int], tuple[str, ...]]] = []
    for stems, term in terms.items():
        if _is_candidate(stems, term, known):
            score = _score(stems, term, most_used, widest, len(texts))
            ranked.append((-score, term.first, stems))
    ranked.sort()
    return _chosen([stems for _, _, stems in ranked], terms, most)


def name_words(names: Iterable[str]) -> frozenset[str]:
    """The stems of the words of some names, for `phrases`."""
    return frozenset(
        part for name in names for word in _TOKEN.findall(name) if (part := stem(word.casefold()))
    )


def phrases(text: str, known: frozenset[str]) -> Phrases:
    """The runs of content words of a text, without the `known` names."""
    out: Phrases = []
    run: list[_Word] = []
    begins = True
    for token in _TOKEN.findall(_NOISE.sub(".", text)):
        looked_up = _look_up(token)
        if looked_up is None or looked_up[0] in known:
            if run:
                out.append(run)
                run = []
            begins = token in _SENTENCE_END
            continue
        stemmed, surface, upper, acronym, common = looked_up
        if common and not (upper and run and run[-1][1][0].isupper()):
            if run:
                out.append(run)
                run = []
            begins = False
            continue
        if upper and not begins and len(run) == 1 and run[0][1][0].isupper():
            run[0] = (*run[0][:2], True)  # Red Dead Redemption, at the start of a sentence
        run.append((stemmed, surface, acronym or (upper and not begins)))
        begins = False
        if len(surface) != len(token):  # Ada's: what follows is another phrase
            out.append(run)
            run = []
    if run:
        out.append(run)
    return out


def keyword_stems(texts: Iterable[str]) -> set[str]:
    """The stems of all words in keywords: what makes two lists of keywords comparable."""
    return {stem(word) for text in texts for word in text.casefold().split()}


def _count(text: Phrases, at: int, terms: dict[tuple[str, ...], _Term]) -> None:
    """Add the candidates of one text: words, neighbouring pairs, names of three words."""
    place = 0
    for run in text:
        for start, (stemmed, surface, capital) in enumerate(run):
            _add(terms, (stemmed,), surface, capital, (at, place + start))
            if start and stemmed != run[start - 1][0]:
                _add_phrase(terms, run[start - 1 : start + 1], (at, place + start - 1))
            if start > 1 and capital and run[start - 1][2] and run[start - 2][2]:
                _add_phrase(terms, run[start - 2 : start + 1], (at, place + start - 2))
        place += len(run)


@lru_cache(maxsize=1 << 16)
def _look_up(token: str) -> tuple[str, str, bool, bool, bool] | None:
    """Stem, surface without 's, capitalised, acronym, common; None for what is no keyword."""
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
    return stemmed, surface, surface[0].isupper(), acronym, common


def _add(
    terms: dict[tuple[str, ...], _Term],
    stems: tuple[str, ...],
    surface: str,
    capital: bool,
    place: tuple[int, int],
) -> None:
    term = terms.get(stems)
    if term is None:
        term = terms[stems] = _Term(place)
    term.add(surface, capital, place[0])


def _add_phrase(
    terms: dict[tuple[str, ...], _Term], run: list[_Word], place: tuple[int, int]
) -> None:
    stems = tuple([word[0] for word in run])
    surface = " ".join([word[1] for word in run])
    _add(terms, stems, surface, all(word[2] for word in run), place)


def _is_candidate(stems: tuple[str, ...], term: _Term, known: frozenset[str]) -> bool:
    if len(stems) > 1:
        return term.count > 1 or term.capitals > 0
    word = "".join(stems)
    is_short_name = term.capitals > 0 and len(word) >= 3  # Mel for Melanie
    return not (is_short_name and any(name.startswith(word) for name in known))


def _score(stems: tuple[str, ...], term: _Term, most_used: int, widest: int, texts: int) -> float:
    share = (term.count / most_used + len(term.texts) / widest) / 2
    casing = (_NAME_BONUS + _USED_NAME_BONUS * share) * term.capitals / term.count
    late = term.texts[(len(term.texts) - 1) // 2] / texts  # where the middle use is
    bonus = _BONUS[len(stems)]
    return round(bonus * (share + casing) / (1 + late / 2), 4)


def _chosen(
    ranked: list[tuple[str, ...]], terms: dict[tuple[str, ...], _Term], most: int
) -> list[str]:
    out: list[str] = []
    taken: set[str] = set()
    for stems in ranked:
        if len(out) == most:
            break
        if taken.isdisjoint(stems):
            taken.update(stems)
            out.append(_surface(terms[stems]))
    return out


def _surface(term: _Term) -> str:
    """The usual spelling; lower case where capitals come from the start of a sentence."""
    spelling = min(term.surfaces, key=lambda s: (-term.surfaces[s], s.isupper(), s))
    # Never in lower case, though it is used again and again: a name.
    is_name = term.count > 2 and not any(map(str.islower, term.surfaces))
    return spelling if is_name or 2 * term.capitals >= term.count else spelling.casefold()
