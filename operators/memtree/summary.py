"""Summaries of tree nodes, without a model: sentences picked from those of the facts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from heapq import heapify, heappop, heapreplace
from itertools import chain
from typing import ClassVar, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from operators.base import Models
from operators.memtree.node_text import NodeText, Sentence, Written

_SCALE = 1 << 20
_CUT = "…"


class Summary(NamedTuple):
    """A summary, and the sentences that stand for the node one level up."""

    text: str
    sentences: tuple[Sentence, ...]


class _Extractive(BaseModel):
    """Shared by summarizers that pick sentences: the bound on the length."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_chars: int = Field(default=320, ge=40)

    NAME: ClassVar[str]

    def write(self, nodes: Sequence[NodeText], models: Models) -> list[Written]:
        """Pick sentences for each node, from those picked for its children."""
        del models
        return [Written(summary.text, self.NAME) for summary in self.pick_up(nodes).values()]

    def pick_up(self, nodes: Sequence[NodeText]) -> dict[NodeText, Summary]:
        """The picked sentences of each node; children stand before their parents."""
        done: dict[NodeText, Summary] = {}
        for node in nodes:
            below = chain.from_iterable(done[child].sentences for child in node.children)
            done[node] = self.pick(node.statements or tuple(below))
        return done

    def summarize(self, nodes: Sequence[Sequence[Sentence]], models: Models) -> list[Summary]:
        """Pick sentences for each node."""
        del models
        return [self.pick(node) for node in nodes]

    def pick(self, node: Sequence[Sentence]) -> Summary:
        """The sentences that stand for all, within the limit, in the order given."""
        sentences = list(dict.fromkeys(node))
        if sum([len(sentence.text) + 1 for sentence in sentences]) - 1 > self.max_chars:
            chosen = self._chosen(sentences)
            if not chosen:
                return self._shortened(sentences[0])
            sentences = [sentences[at] for at in sorted(chosen)]
        return Summary(" ".join([sentence.text for sentence in sentences]), tuple(sentences))

    def _chosen(self, sentences: list[Sentence]) -> list[int]:
        """Positions of the sentences that make up the summary, within the limit."""
        raise NotImplementedError

    def _shortened(self, sentence: Sentence) -> Summary:
        short = replace(sentence, text=shortened(sentence.text, self.max_chars))
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


def shortened(text: str, max_chars: int) -> str:
    """The beginning of a text, cut at a word and marked where it is longer than the limit."""
    if len(text) <= max_chars:
        return text
    head = text[: max_chars - 1]
    return (head.rpartition(" ")[0] or head) + _CUT


def _score(sentence: Sentence, counts: Counter[str]) -> int:
    # The constant keeps one-word exclamations from having the highest mean.
    return sum(map(counts.__getitem__, sentence.words)) * _SCALE // (len(sentence.words) + 3)
