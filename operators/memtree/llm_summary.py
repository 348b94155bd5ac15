"""Summaries of tree nodes by a language model."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from operators.base import Models
from operators.llm.ask import Question, ask
from operators.llm.part import LlmPart
from operators.llm.prompt import Prompt
from operators.memtree.node_question import MIN_LINE_CHARS, question_text
from operators.memtree.node_text import NodeText, Scope, Sentence, Written
from operators.memtree.summary import ExtractiveSummarizer, Summary
from operators.memtree.tree import MAX_CHILDREN

BY_MODEL = "llm"
BY_BOTH = "llm+extractive"

_CHECKPOINTS = (8, 4)
_ROOT_CHECKPOINTS = (*_CHECKPOINTS, 2)


class NodeSummary(BaseModel):
    """The form of the answer."""

    summary: Annotated[str, Field(min_length=1, max_length=400)]


SUMMARISE_NODE = Prompt("summarise_node", NodeSummary, max_tokens=256)


class LlmSummarizer(LlmPart, frozen=True):
    """A model summarises nodes once they are closed, and growing ones now and then.

    A closed node never changes again, so that its call is made once. A node on the right
    edge changes with every fact that is appended. At level 1 it keeps the extractive summary.
    Above, the model reads its first 2, 4 or 8 closed children (2 only for the root of a
    tree), before that the summary of the first one is taken over, and extracts of the other
    children follow: a call when the number doubles. All of it is a function of the leaves, so
    that a stream and a batch give the same rows.

    With `source: statements` the model reads sentences picked from the facts below, whatever
    the level. All nodes of all trees are then one round trip, an error of the model is never
    read by the model again, and an edit asks about the nodes above it at once. With
    `summaries` it reads what it wrote about the children: a round trip for each level.

    Where an answer cannot be used, the extractive summary stands in. `Written.by` is `llm`,
    `llm+extractive` (the first children by the model, extracts of the others), or
    `extractive`. Cost: LLM, one call for each such node; streaming 2,000 facts into one tree
    in 100 parts makes about 0.2 calls a fact.

    Attributes:
        llm: the model.
        source: what the model reads above level 1.
        scopes: whose trees it summarises; a node that other trees share is as in these.
        max_chars: longest extract, in characters: where the model does not write, and of
            what it reads about a child.
        max_input_chars: most text that is read in one call; shared among the children.
        line_chars: longest line of it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["llm"] = "llm"
    source: Literal["statements", "summaries"] = "statements"
    scopes: tuple[Scope, ...] = ("session", "scene", "conversation")
    max_chars: int = Field(default=320, ge=40)
    max_input_chars: int = Field(default=640, ge=MAX_CHILDREN * MIN_LINE_CHARS)
    line_chars: int = Field(default=120, ge=MIN_LINE_CHARS)

    PROMPTS: ClassVar[tuple[Prompt[Any], ...]] = (SUMMARISE_NODE,)

    def write(self, nodes: Sequence[NodeText], models: Models) -> list[Written]:
        """Extracts of all nodes, replaced by the model's summaries where it is to write."""
        extracts = ExtractiveSummarizer(max_chars=self.max_chars).pick_up(nodes)
        done = {
            node: Written(extract.text, ExtractiveSummarizer.NAME)
            for node, extract in extracts.items()
        }
        for together in self._rounds(nodes):
            # The summaries of a round may be read in the next.
            told = extracts if self.source == "statements" else _as_told(together, done)
            done |= self._asked(together, told, extracts, models)
        done |= self._taken_over(nodes, extracts, done)
        return [done[node] for node in nodes]

    def _rounds(self, nodes: Sequence[NodeText]) -> Iterator[list[NodeText]]:
        """Nodes about which the model is asked at the same time."""
        wanted = [node for node in nodes if self._count(node) > 1]
        if self.source == "statements":
            yield wanted
            return
        by_level = sorted(wanted, key=_level)  # stable
        for _, level in groupby(by_level, key=_level):
            yield list(level)

    def _count(self, node: NodeText) -> int:
        """How many children the model's summary is about, from the first on; 0 for none."""
        if node.scopes.isdisjoint(self.scopes):
            return 0
        if node.is_closed:
            return len(node.statements) + len(node.children)
        closed = sum(child.is_closed for child in node.children)
        is_root = not node.root_of.isdisjoint(self.scopes)
        checkpoints = _ROOT_CHECKPOINTS if is_root else _CHECKPOINTS
        return next((count for count in checkpoints if count <= closed), min(closed, 1))

    def _taken_over(
        self,
        nodes: Sequence[NodeText],
        extracts: Mapping[NodeText, Summary],
        done: Mapping[NodeText, Written],
    ) -> dict[NodeText, Written]:
        """The summary of the first child, where the model has not read more of the node."""
        growing = [node for node in nodes if not node.is_closed and self._count(node) == 1]
        return {
            node: self._written(node, done[node.children[0]].text, extracts)
            for node in growing
            if done[node.children[0]].by == BY_MODEL
        }

    def _asked(
        self,
        nodes: Sequence[NodeText],
        told: Mapping[NodeText, Summary],
        extracts: Mapping[NodeText, Summary],
        models: Models,
    ) -> dict[NodeText, Written]:
        """What the model writes about the nodes; those without a usable answer are missing."""
        questions = [
            Question(node.tenant, node.conversation_id, self._question(node, told))
            for node in nodes
        ]
        answers = ask(models, self.llm, SUMMARISE_NODE, questions, _check)
        return {
            node: self._written(node, " ".join(answer.summary.split()), extracts)
            for node, answer in zip(nodes, answers, strict=True)
            if answer is not None
        }

    def _question(self, node: NodeText, told: Mapping[NodeText, Summary]) -> str:
        read = node.children[: self._count(node)]
        below = [told[child].sentences for child in read]
        return question_text(node.statements, below, self.max_input_chars, self.line_chars)

    def _written(
        self, node: NodeText, summary: str, extracts: Mapping[NodeText, Summary]
    ) -> Written:
        others = node.children[self._count(node) :]
        if not others:
            return Written(summary, BY_MODEL)
        lines = chain.from_iterable(extracts[child].sentences for child in others)
        extract = ExtractiveSummarizer(max_chars=self.max_chars).pick(tuple(lines))
        return Written(f"{summary} {extract.text}", BY_BOTH)


def _level(node: NodeText) -> int:
    return node.level


def _as_told(
    nodes: Iterable[NodeText], done: Mapping[NodeText, Written]
) -> dict[NodeText, Summary]:
    """The summaries of the nodes' children as sentences, dated with their first fact."""
    children = dict.fromkeys(chain.from_iterable(node.children for node in nodes))
    told: dict[NodeText, Summary] = {}
    for child in children:
        line = Sentence.of(done[child].text, _start(child))
        told[child] = Summary(line.text, (line,))
    return told


def _start(node: NodeText) -> int | None:
    while node.children:
        node = node.children[0]
    return node.statements[0].time


def _check(question: Question, output: NodeSummary) -> str | None:
    del question
    return None if output.summary.strip() else "summary: it is empty"
