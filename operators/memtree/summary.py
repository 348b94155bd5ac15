"""Summaries of tree nodes, without a model.

A summarizer is part of the YAML of the step `memtree`, chosen by `kind`. It sees the nodes
of one level at a time, for all trees of the call, so that one by a model can send a level
as one batch.
"""

import re
from collections import Counter
from collections.abc import Sequence
from heapq import heapify, heappop, heapreplace
from itertools import chain
from typing import Annotated, ClassVar, Literal, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict, Field

from operators.base import Models

_WORD = re.compile(r"[^\W_]{2,}(?:['’][^\W_]+)?")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_STOP_WORDS = _words(
    "a about after all also am an and any are as at be because been before being but by can "
    "could did do does doing don't for from get go going got had has have having he her here "
    "him his how i'm if in into is it it's its just like me more my no not now of off on one "
    "or our out really said say says she so some than that that's the their them then there "
    "these they this time to too up us very was we went were what when where which while who "
    "why will with would you your"
)
_SCALE = 1 << 20
_CUT = "…"


class Sentence(NamedTuple):
    """The statement of one fact, with its content words."""

    text: str
    words: frozenset[str]

    @classmethod
    def of(cls, text: str) -> "Sentence":
        """Split off the content words."""
        words = frozenset(_WORD.findall(text.casefold())) - _STOP_WORDS
        return cls(" ".join(text.split()), words)


class Summary(NamedTuple):
    """A summary, and the sentences that stand for the node one level up."""

    text: str
    sentences: tuple[Sentence, ...]


class Summarizer(Protocol):
    """Writes summaries of nodes from what their children say."""

    @property
    def name(self) -> str:
        """Recorded with each summary."""
        ...

    def summarize(self, nodes: Sequence[Sequence[Sentence]], models: Models) -> list[Summary]:
        """A summary for each node, from its children's sentences in time order."""
        ...


class _Extractive(BaseModel):
    """Shared by summarizers that pick sentences: the bound on the length."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_chars: int = Field(default=320, ge=40)

    NAME: ClassVar[str]

    @property
    def name(self) -> str:
        """Recorded with each summary."""
        return self.NAME

    def summarize(self, nodes: Sequence[Sequence[Sentence]], models: Models) -> list[Summary]:
        """Pick sentences for each node."""
        del models
        return [self._summary(node) for node in nodes]

    def _chosen(self, sentences: list[Sentence]) -> list[int]:
        """Positions of the sentences that make up the summary, within the limit."""
        raise NotImplementedError

    def _summary(self, node: Sequence[Sentence]) -> Summary:
        sentences = list(dict.fromkeys(node))
        if sum([len(sentence.text) + 1 for sentence in sentences]) - 1 > self.max_chars:
            chosen = self._chosen(sentences)
            if not chosen:
                return self._shortened(sentences[0])
            sentences = [sentences[at] for at in sorted(chosen)]
        return Summary(" ".join([sentence.text for sentence in sentences]), tuple(sentences))

    def _shortened(self, sentence: Sentence) -> Summary:
        head = sentence.text[: self.max_chars - 1]
        head = head.rpartition(" ")[0] or head
        short = Sentence(head + _CUT, sentence.words)
        return Summary(short.text, (short,))


class ExtractiveSummarizer(_Extractive):
    """The sentences whose words the node's children share most, without repetition.

    Method: SumBasic (Nenkova & Vanderwende, MSR-TR-2005-101): a sentence scores the mean
    frequency of its words; the words of a chosen sentence no longer count. Integers only,
    ties to the earlier sentence; chosen sentences stand in time order.

    Attributes:
        max_chars: longest summary, in characters.
    """

    kind: Literal["extractive"] = "extractive"

    NAME: ClassVar[str] = "extractive"

    def _chosen(self, sentences: list[Sentence]) -> list[int]:
        counts = Counter(chain.from_iterable(sentence.words for sentence in sentences))
        # Scores only fall, so a top entry whose score still stands is the best (lazy greedy).
        heap = [(-_score(sentence, counts), at) for at, sentence in enumerate(sentences)]
        heapify(heap)
        chosen: list[int] = []
        room = self.max_chars
        while heap:
            negative, at = heap[0]
            sentence = sentences[at]
            if len(sentence.text) > room:
                heappop(heap)
            elif (now := -_score(sentence, counts)) != negative:
                heapreplace(heap, (now, at))
            else:
                heappop(heap)
                chosen.append(at)
                room -= len(sentence.text) + 1
                for word in sentence.words:
                    counts[word] = 0
        return chosen


class LeadSummarizer(_Extractive):
    """The earliest sentences: the baseline that any summary has to beat.

    Attributes:
        max_chars: longest summary, in characters.
    """

    kind: Literal["lead"] = "lead"

    NAME: ClassVar[str] = "lead"

    def _chosen(self, sentences: list[Sentence]) -> list[int]:
        chosen: list[int] = []
        room = self.max_chars
        for at, sentence in enumerate(sentences):
            if len(sentence.text) <= room:
                chosen.append(at)
                room -= len(sentence.text) + 1
        return chosen


def _score(sentence: Sentence, counts: Counter[str]) -> int:
    # The constant keeps one-word exclamations from having the highest mean.
    return sum(map(counts.__getitem__, sentence.words)) * _SCALE // (len(sentence.words) + 3)


AnySummarizer = Annotated[ExtractiveSummarizer | LeadSummarizer, Field(discriminator="kind")]
