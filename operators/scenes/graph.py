"""The graph that scenes are found in: which memories belong together, and how strongly."""

import itertools
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from operators.extract.words import load_words
from operators.recall.terms import STOP_WORDS, stem, words

RELATIONS = frozenset(
    {"supersedes", "extends", "refines", "accumulates"}
    | {"transforms", "contradicts", "implies", "causes"}
)
"""Types of links that put two facts in one scene. (`associated` counts by its cosine.)"""

Pair = tuple[int, int]
"""Two nodes, the smaller number first."""

# Addresses, and dates that the extractor resolved.
_NOISE = re.compile(r"https?://\S+|\([^()]*\b\d{4}\)")
_EMPTY_STEMS = {
    stem(word)
    for name in ("filler_words", "ack_words", "entity_stop_words", "keyword_stop_words")
    for word in load_words(f"{name}.txt")
} | {stem(word) for word in STOP_WORDS}

_TELLING = 3
"""A statement with fewer content words is a reply: it says little without its neighbours."""

# Tuned on which facts answer one question of the LoCoMo development set; plateaus, not peaks.
_UNRELATED = 0.25  # cosine of two statements that only share their speaker
_NO_WORD_SHARED = 0.4  # factor on the rest of the cosine where no content word is shared
_WORDS = 0.5  # worth of equal content words, in cosine
_FIRM_COSINE = 0.6  # alike enough without a shared word
_RELATED = 0.3  # worth of a typed relation
_SAME_SESSION, _SAME_CELL, _REPLY = 0.05, 0.1, 0.3  # neighbours in event order


class Node(NamedTuple):
    """A fact, as far as the graph is concerned; `speaker` as written."""

    text: str
    speaker: str
    session_id: str
    cell_id: str


@dataclass(frozen=True)
class Graph:
    """An undirected graph over facts, numbered from 0 in event order.

    Attributes:
        words: content words (stems) of each node.
        weights: of each edge, four digits, in order of the pairs.
        firm: edges that rest on shared words or a high cosine, not on mere neighbourhood.
    """

    words: tuple[frozenset[str], ...]
    weights: Mapping[Pair, float]
    firm: frozenset[Pair]

    def is_telling(self, node: int) -> bool:
        """Whether a fact says enough to be understood, and compared, by itself."""
        return len(self.words[node]) >= _TELLING

    def cohesion(self, scenes: Sequence[Sequence[int]]) -> list[float]:
        """Share of the telling members of each scene with a firm edge to another of them."""
        of = {n: at for at, nodes in enumerate(scenes) for n in nodes if self.is_telling(n)}
        held = {
            node
            for one, other in self.firm
            if one in of and of[one] == of.get(other)
            for node in (one, other)
        }
        firm, all_ = Counter(of[node] for node in held), Counter(of.values())
        return [firm[at] / all_[at] if all_[at] else 0.0 for at in range(len(scenes))]


def content_words(text: str) -> frozenset[str]:
    """Stems of the words that tell what a text is about, names among them."""
    return frozenset(map(_content_stem, words(_NOISE.sub(" ", text)))) - {""}


@lru_cache(maxsize=1 << 16)
def _content_stem(word: str) -> str:
    """The stem; empty for a word without content, a number or a letter."""
    stemmed = stem(word)
    return "" if stemmed in _EMPTY_STEMS or len(word) < 2 or word[0].isdigit() else stemmed


def build(
    nodes: Sequence[Node], associated: Mapping[Pair, float], related: Iterable[Pair]
) -> Graph:
    """The graph of the nodes of one conversation, given in event order.

    `associated` holds cosines. A pair's weight depends on the nodes up to the later of the
    two only: names of speakers and frequencies of words are those heard so far. The graph of
    the first n facts is therefore part of the graph of all.
    """
    told = tuple(_words_without_speakers(nodes))
    weights: defaultdict[Pair, float] = defaultdict(float)
    firm: set[Pair] = set()
    # Short texts of one speaker are close as vectors whatever they say.
    by_later: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for (earlier, later), cosine in associated.items():
        both_tell = min(len(told[earlier]), len(told[later])) >= _TELLING
        if both_tell or not told[earlier].isdisjoint(told[later]):
            by_later[later].append((earlier, cosine))
    heard = _Heard()
    for later, mine in enumerate(told):
        heard.add(mine)
        near = by_later.get(later, [])
        likeness = heard.likeness(mine, [told[earlier] for earlier, _ in near])
        for (earlier, cosine), shared in zip(near, likeness, strict=True):
            alike = max(cosine - _UNRELATED, 0.0) * (1.0 if shared else _NO_WORD_SHARED)
            weights[earlier, later] += alike + _WORDS * shared
            if shared or cosine >= _FIRM_COSINE:
                firm.add((earlier, later))
    for pair in related:
        weights[pair] += _RELATED
        firm.add(pair)
    for pair, weight in _neighbours(nodes, told):
        weights[pair] += weight
    rounded = {pair: round(weight, 4) for pair, weight in sorted(weights.items())}
    kept = {pair: weight for pair, weight in rounded.items() if weight > 0}
    return Graph(told, kept, frozenset(firm & kept.keys()))


def _words_without_speakers(nodes: Sequence[Node]) -> Iterable[frozenset[str]]:
    """Content words of each node without the names of those who have spoken so far."""
    heard: set[str] = set()
    speakers: set[str] = set()
    for node in nodes:
        if node.speaker not in heard:
            heard.add(node.speaker)
            speakers.update(map(stem, words(node.speaker)))
        yield content_words(node.text) - speakers


class _Heard:
    """How rare each word is among the facts so far; logarithms in whole units, so that sums
    are the same in any order.
    """

    def __init__(self) -> None:
        self._facts = 1
        self._counts: Counter[str] = Counter()
        self._logs: dict[str, int] = {}

    def add(self, words_: frozenset[str]) -> None:
        """Hear the words of one more fact."""
        self._facts += 1
        self._counts.update(words_)
        for word in words_:
            self._logs[word] = _units(self._counts[word])

    def likeness(self, mine: frozenset[str], others: Sequence[frozenset[str]]) -> Iterable[float]:
        """Rarity of the words shared with each relative to that of all (a cosine of sets)."""
        own = self._rarity(mine) if others else 0
        for other in others:
            shared = mine & other
            whole = math.sqrt(own * self._rarity(other)) if shared else 1.0
            yield round(self._rarity(shared) / whole, 4) if shared else 0.0

    def _rarity(self, words_: frozenset[str]) -> int:
        return len(words_) * _units(self._facts) - sum(map(self._logs.__getitem__, words_))


@lru_cache(maxsize=1 << 14)
def _units(count: int) -> int:
    return round(10_000 * math.log(count))


def _neighbours(
    nodes: Sequence[Node], told: Sequence[frozenset[str]]
) -> Iterable[tuple[Pair, float]]:
    """Facts that follow each other: one talk goes on. A reply belongs to what it answers.

    What has no content word ("Ann: Ha!") is passed over, and in no scene.
    """
    speaking = [node for node, words_ in enumerate(told) if words_]
    for at, after in itertools.pairwise(speaking):
        one, other = nodes[at], nodes[after]
        if one.session_id != other.session_id:
            continue
        if one.cell_id != other.cell_id:
            yield (at, after), _SAME_SESSION
        elif min(len(told[at]), len(told[after])) < _TELLING:
            yield (at, after), _REPLY
        else:
            yield (at, after), _SAME_CELL
