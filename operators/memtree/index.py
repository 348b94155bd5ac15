"""The operator that grows the trees of each conversation and writes their nodes."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from operators.base import Key, Models, Operator, StepResult, Tables
from operators.frames import SCOPE, build, day, groups, need, values
from operators.memtree.forest import NodeKey, Planted, node_texts
from operators.memtree.llm_summary import LlmSummarizer
from operators.memtree.node_text import Scope, Sentence, Written
from operators.memtree.summary import ExtractiveSummarizer, LeadSummarizer
from operators.memtree.tree import Leaf, MemTree, Node
from schemas.ids import content_id
from schemas.tables import TABLES

AnySummarizer = Annotated[
    ExtractiveSummarizer | LeadSummarizer | LlmSummarizer, Field(discriminator="kind")
]

_COLUMNS = (
    *("status", "fact_id", "session_id", "event_time"),
    *("text", "valid_from", "valid_to"),
)
_MEMBERS: Mapping[Scope, tuple[str, str, str]] = MappingProxyType(
    {
        "entity": ("mentions", "entity_id", "fact_id"),
        "scene": ("scene_members", "scene_id", "memory_id"),
    }
)
"""Scopes whose facts a table names: the table, its column of the key, its column of the fact."""


class MemTreeIndex(Operator, frozen=True):
    """Grow time-ordered trees of summaries over the facts of each scope.

    Method: MemTree, the canonical form of MemForest's trees (arXiv 2605.23986); see
    `MemTree` for the rule. Leaves are the facts that are not duplicates; superseded ones
    stay, marked with the day they ceased to hold, and a changed validity is a changed leaf.
    Equal nodes of two scopes (a session's and its conversation's) are summarised once. A
    summary is a function of the node: nothing outside of it goes into it.

    Input: `facts`; `mentions` where entity trees are wanted, `scene_members` where scene trees
    are (members of any status: a tree is a record). Output: `memtree_nodes`.
    Errors: none. Cost: none, or with `kind: llm` a call for each closed node and some open
    ones (see `LlmSummarizer`). Deterministic, given the recorded answers.

    Attributes:
        scopes: which trees to grow.
        entity_min_facts: an entity gets a tree from this many facts on,
        entity_min_sessions: in at least this many sessions.
        scene_min_facts: a scene gets a tree from this many facts on.
        summarizer: how nodes are summarised: `{kind: extractive, max_chars: 320}`, the same
            with `lead`, or `{kind: llm, llm: ...}`.
    """

    operator: Literal["memtree"] = "memtree"
    scopes: tuple[Scope, ...] = ("session", "entity", "scene", "conversation")
    entity_min_facts: int = Field(default=3, ge=1)
    entity_min_sessions: int = Field(default=2, ge=1)
    scene_min_facts: int = Field(default=3, ge=1)
    summarizer: AnySummarizer = ExtractiveSummarizer()

    VERSION: ClassVar[int] = 2
    READS: ClassVar[tuple[str, ...]] = ("facts", "mentions", "scene_members")
    WRITES: ClassVar[tuple[str, ...]] = ("memtree_nodes",)
    KEY: ClassVar[Key] = Key.CONVERSATION

    def reads(self) -> tuple[str, ...]:
        """Mentions and scene members only where trees of entities and scenes are wanted."""
        unused = {table for scope, (table, _, _) in _MEMBERS.items() if scope not in self.scopes}
        return tuple(name for name in self.READS if name not in unused)

    def run(self, tables: Tables, models: Models) -> StepResult:
        """Grow and summarise all trees of the call."""
        facts = need(tables, "facts", self.operator)
        column = {name: values(facts, name) for name in _COLUMNS}
        kept = [row for row, status in enumerate(column["status"]) if status != "duplicate"]
        leaves = {
            row: Leaf.of(
                column["event_time"][row],
                column["fact_id"][row],
                column["text"][row],
                column["valid_from"][row],
                column["valid_to"][row],
            )
            for row in kept
        }
        forest = [
            Planted(*scope, MemTree.build(leaves[row] for row in rows))
            for scope, rows in self._scopes(tables, column, leaves)
        ]
        told = node_texts(forest, {leaf: _sentence(column, row) for row, leaf in leaves.items()})
        written = self.summarizer.write(list(told.values()), models)
        summaries = dict(zip(told, written, strict=True))
        nodes: dict[str, list[Any]] = {name: [] for name in TABLES["memtree_nodes"].schema.names}
        for planted in forest:
            for name, part in _rows(planted, summaries).items():
                nodes[name] += part
        counters = {
            "in": facts.num_rows,
            "out": len(kept),
            "filtered": facts.num_rows - len(kept),
            "trees": len(forest),
            "summaries": len(summaries),
        }
        return StepResult({"memtree_nodes": build("memtree_nodes", nodes)}, counters)

    def _scopes(
        self, tables: Tables, column: dict[str, list[Any]], leaves: dict[int, Leaf]
    ) -> Iterator[tuple[tuple[str, str, Scope, str], list[int]]]:
        facts = need(tables, "facts", self.operator)
        if "conversation" in self.scopes:
            for (tenant, conversation), rows in groups(facts, SCOPE, ()).items():
                if members := [row for row in rows if row in leaves]:
                    yield (tenant, conversation, "conversation", conversation), members
        if "session" in self.scopes:
            for (tenant, conversation, session), rows in groups(
                facts, (*SCOPE, "session_id"), ()
            ).items():
                if members := [row for row in rows if row in leaves]:
                    yield (tenant, conversation, "session", session), members
        if "entity" in self.scopes:
            for scope, members in self._groups(tables, "entity", column, leaves):
                if self._is_active(members, column["session_id"]):
                    yield (scope[0], scope[1], "entity", scope[2]), members
        if "scene" in self.scopes:
            for scope, members in self._groups(tables, "scene", column, leaves):
                if len(members) >= self.scene_min_facts:
                    yield (scope[0], scope[1], "scene", scope[2]), members

    def _groups(
        self,
        tables: Tables,
        scope: Scope,
        column: dict[str, list[Any]],
        leaves: dict[int, Leaf],
    ) -> Iterator[tuple[tuple[str, str, str], list[int]]]:
        """Leaves that a table puts together, by tenant, conversation and key."""
        name, key, member = _MEMBERS[scope]
        table = need(tables, name, self.operator)
        row_of = {column["fact_id"][row]: row for row in leaves}
        fact_ids = values(table, member)
        for (tenant, conversation, group), rows in groups(table, (*SCOPE, key), ()).items():
            members = [row_of[fact_ids[row]] for row in rows if fact_ids[row] in row_of]
            yield (tenant, conversation, group), members

    def _is_active(self, rows: list[int], session_ids: list[str]) -> bool:
        if len(rows) < self.entity_min_facts:
            return False
        return len({session_ids[row] for row in rows}) >= self.entity_min_sessions


def _rows(planted: Planted, summaries: Mapping[NodeKey, Written]) -> dict[str, list[Any]]:
    """The nodes of a tree as columns."""
    scope = (planted.tenant, planted.conversation_id, planted.scope_type, planted.scope_key)
    tree = planted.tree
    nodes = list(tree.nodes())
    made = [summaries[planted.key(node.id)] for node in nodes]
    size = len(nodes)
    return {
        "tenant": [planted.tenant] * size,
        "conversation_id": [planted.conversation_id] * size,
        "tree_id": [content_id("tree", *scope)] * size,
        "scope_type": [planted.scope_type] * size,
        "scope_key": [planted.scope_key] * size,
        "node_id": [node.id for node in nodes],
        "level": [node.level for node in nodes],
        "is_root": [node is tree.root for node in nodes],
        "is_closed": [node.is_closed for node in nodes],
        "child_ids": [tree.child_ids(node) for node in nodes],
        "fact_ids": [_fact_ids(tree, node) for node in nodes],
        "leaf_count": [node.leaves[1] - node.leaves[0] for node in nodes],
        "start_time": [tree.leaves[node.leaves[0]].time for node in nodes],
        "end_time": [tree.leaves[node.leaves[1] - 1].time for node in nodes],
        "summary": [summary.text for summary in made],
        "summarizer": [summary.by for summary in made],
    }


def _fact_ids(tree: MemTree, node: Node) -> list[str]:
    if node.level > 1:
        return []
    return [leaf.key for leaf in tree.leaves[node.leaves[0] : node.leaves[1]]]


def _sentence(column: dict[str, list[Any]], row: int) -> Sentence:
    text, time = column["text"][row], column["event_time"][row]
    until = column["valid_to"][row]
    return Sentence.of(text if until is None else f"{text} (until {day(until)})", time)
