"""The operator that finds the scenes of each conversation."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

from pydantic import Field

from operators.base import Key, Models, Operator, StepResult, Tables
from operators.entity_index import normalise, spelling
from operators.frames import FACT_ORDER, SCOPE, from_rows, groups, need, values
from operators.scenes.communities import Clustering, Community
from operators.scenes.graph import RELATIONS, Graph, Node, Pair, build
from operators.scenes.history import Ancestor, History
from operators.scenes.portrait import ExtractiveTitles, Portrait, Scene, Statement, Untold
from operators.scenes.titles import AnyTitles
from schemas.ids import content_id

_COLUMNS = (
    *("status", "fact_id", "session_id", "cell_id", "event_time", "speaker", "role"),
    *("text", "importance", "entities", "subject"),
)


@dataclass(frozen=True)
class _Links:
    """The links between facts that count here, by scope: pairs of fact ids."""

    associated: dict[tuple[Any, ...], dict[tuple[str, str], float]]
    related: dict[tuple[Any, ...], set[tuple[str, str]]]


@dataclass(frozen=True)
class _Found:
    """The scenes of one conversation before they are told.

    `members` are those of coherent scenes only; `weights` are theirs.
    """

    one: "_Conversation"
    members: dict[str, Community]
    weights: dict[int, float]
    lineage: list[tuple[str, Ancestor]]
    untold: Untold


class LeidenScenes(Operator, frozen=True):
    """Group the facts of a conversation into scenes, by theme and over all sessions.

    Method: the inductive step of Bi-Mem and the MemScenes of EverMemOS (arXiv 2601.02163),
    by graph clustering in place of a running centroid, which depends on the order of arrival.
    Facts that are not duplicates are nodes; associations and typed relations are edges, and
    weakly the order of speech; see `graph`. Leiden with a constant Potts model; see
    `Clustering`. Facts in no community of `min_members`, or in one without a common theme,
    are in no scene. Ids are kept over the history of the log; see `History`.

    Input: `facts`; `links` of type `associated` between facts, and typed relations.
    Output: `scenes`; `scene_members` with weight, the summed weight of a fact's edges inside
    the scene relative to the greatest; `links` from a scene to what it came from:
    `split_from`, to another scene, and `merged_from`, to the id of a former one that is no
    more; score is the share of the former scene's members that came.
    Salience of m members with mean importance i in s sessions is
    0.35 m/(m+10) + 0.35 s/(s+3) + 0.3 i.
    Errors: none. Cost: none; with `titles` by a model LLM, one round trip for all scenes of
    the call. Deterministic, given the recorded answers.

    Attributes:
        resolution: mean weight between facts above which they share a scene; higher gives
            smaller scenes, whatever the length of the conversation.
        min_members: a scene has at least so many members.
        max_members: larger communities are divided.
        min_cohesion: least share of members (replies not counted) with an edge in the scene
            that rests on shared words, a high cosine or a relation, not on mere neighbourhood.
        heir_share: share of a scene's members (two at least) that makes a community its heir
            or descendant.
        titles: how scenes are told: `{kind: extractive, max_chars: 320, max_keywords: 8}` or
            `{kind: llm, llm: ...}`. No id, member or salience depends on it.
    """

    operator: Literal["leiden_scenes"] = "leiden_scenes"
    resolution: float = Field(default=0.015, gt=0)
    min_members: int = Field(default=3, ge=2)
    max_members: int = Field(default=40, ge=2)
    min_cohesion: float = Field(default=0.6, ge=0, le=1)
    heir_share: float = Field(default=0.3, gt=0, le=1)
    titles: AnyTitles = ExtractiveTitles()

    VERSION: ClassVar[int] = 2
    READS: ClassVar[tuple[str, ...]] = ("facts", "links")
    WRITES: ClassVar[tuple[str, ...]] = ("scenes", "scene_members", "links")
    KEY: ClassVar[Key] = Key.CONVERSATION

    def run(self, tables: Tables, models: Models) -> StepResult:
        """Find the scenes of all conversations of the call."""
        facts = need(tables, "facts", self.operator)
        column = {name: values(facts, name) for name in _COLUMNS}
        links = _links(tables, self.operator)
        out: dict[str, list[dict[str, Any]]] = {"scenes": [], "scene_members": [], "links": []}
        found = [
            self._find(scope, rows, column, links)
            for scope, rows in groups(facts, SCOPE, FACT_ORDER).items()
        ]
        # All at once: one round trip, if a model tells them.
        told = self.titles.tell([one.untold for one in found], models)
        for one, portraits in zip(found, told, strict=True):
            for name, more in _rows(one, portraits).items():
                out[name] += more
        members = len(out["scene_members"])
        counters = {
            "in": facts.num_rows,
            "out": members,
            "filtered": facts.num_rows - members,
            "scenes": len(out["scenes"]),
            "lineage": len(out["links"]),
        }
        return StepResult({name: from_rows(name, rows) for name, rows in out.items()}, counters)

    def _find(
        self,
        scope: tuple[Any, ...],
        rows: Sequence[int],
        column: dict[str, list[Any]],
        links: _Links,
    ) -> _Found:
        kept = [row for row in rows if column["status"][row] != "duplicate"]
        one = _Conversation(scope, kept, column)
        graph = one.graph(links)
        found = self._history(scope, one.fact_ids).play(graph, one.session_of())
        cohesion = graph.cohesion(list(found.members.values()))
        members = {
            scene_id: nodes
            for (scene_id, nodes), share in zip(found.members.items(), cohesion, strict=True)
            if share >= self.min_cohesion
        }
        weights = _centrality(members, graph)
        scenes = tuple(one.scene(nodes, weights, graph) for nodes in members.values())
        heard = Counter(word for words in graph.words for word in words)
        untold = Untold(scope[0], scope[1], scenes, heard, len(kept))
        return _Found(one, members, weights, found.lineage(frozenset(members)), untold)

    def _history(self, scope: tuple[Any, ...], fact_ids: Sequence[str]) -> History:
        def name(nodes: Sequence[int]) -> str:
            return content_id("scene", *scope, *[fact_ids[node] for node in nodes])

        clustering = Clustering(self.resolution, self.max_members)
        return History(clustering, self.min_members, self.heir_share, name)


@dataclass(frozen=True)
class _Conversation:
    """The facts of one conversation that are no duplicates, in event order."""

    scope: tuple[Any, ...]
    rows: list[int]
    column: dict[str, list[Any]]

    @cached_property
    def fact_ids(self) -> list[str]:
        return self.get("fact_id")

    def get(self, name: str) -> list[Any]:
        """A column of `facts` by node."""
        data = self.column[name]
        return [data[row] for row in self.rows]

    def graph(self, links: _Links) -> Graph:
        """The graph of the conversation."""
        names = ("text", "speaker", "session_id", "cell_id")
        nodes = [Node(*each) for each in zip(*map(self.get, names), strict=True)]
        node_of = {fact_id: node for node, fact_id in enumerate(self.fact_ids)}
        associated: dict[Pair, float] = {}
        for ids, score in links.associated.get(self.scope, {}).items():
            if pair := _pair(ids, node_of):
                associated[pair] = max(score, associated.get(pair, score))
        related = {_pair(ids, node_of) for ids in links.related.get(self.scope, ())}
        return build(nodes, associated, sorted(pair for pair in related if pair))

    def session_of(self) -> list[int]:
        """The number of each node's session, in order of their first facts."""
        numbers: dict[str, int] = {}
        return [numbers.setdefault(name, len(numbers)) for name in self.get("session_id")]

    def scene(self, nodes: Community, weights: dict[int, float], graph: Graph) -> Scene:
        """What there is to tell of a scene."""
        text, importance, said = (self.column[n] for n in ("text", "importance", "event_time"))
        statements = [
            Statement(
                text[self.rows[node]],
                graph.words[node],
                graph.is_telling(node),
                weights[node],
                importance[self.rows[node]],
                said[self.rows[node]],
            )
            for node in nodes
        ]
        return Scene(tuple(statements), self._people(nodes))

    def _people(self, nodes: Community) -> dict[str, int]:
        """In how many of the facts each person is, the most frequent first; no assistants."""
        counts: Counter[str] = Counter()
        for node in nodes:
            row = self.rows[node]
            names = {*self.column["entities"][row], self.column["speaker"][row]}
            counts.update({normalise(name) for name in names} & self._persons.keys())
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return {self._persons[name]: count for name, count in ranked}

    @cached_property
    def _persons(self) -> dict[str, str]:
        """Those who speak and those of whom an attribute is told: names by normal form."""
        speakers = dict(zip(self.get("speaker"), self.get("role"), strict=True))
        subjects = dict.fromkeys(name for name in self.get("subject") if name)
        found: dict[str, str] = {}
        for name in (*speakers, *subjects):
            found.setdefault(normalise(name), spelling(name))
        for name, role in speakers.items():
            if role == "assistant":
                found.pop(normalise(name), None)
        return found

    def scene_row(
        self, scene_id: str, nodes: Community, scene: Scene, portrait: Portrait
    ) -> dict[str, Any]:
        """The row of a scene."""
        rows = [self.rows[node] for node in nodes]
        times = [self.column["event_time"][row] for row in rows]
        sessions = len({self.column["session_id"][row] for row in rows})
        return {
            "tenant": self.scope[0],
            "conversation_id": self.scope[1],
            "scene_id": scene_id,
            "title": portrait.title,
            "summary": portrait.summary,
            "keywords": portrait.keywords,
            "people": list(scene.people),
            "start_time": min(times),
            "end_time": max(times),
            "member_count": len(nodes),
            "session_count": sessions,
            "salience": _salience(sessions, [one.importance for one in scene.statements]),
            "made_by": portrait.made_by,
        }

    def member_row(self, scene_id: str, node: int, weight: float) -> dict[str, Any]:
        """The row of a member, not yet judged."""
        return {
            "tenant": self.scope[0],
            "conversation_id": self.scope[1],
            "scene_id": scene_id,
            "memory_id": self.fact_ids[node],
            "weight": weight,
            "status": "member",
            "part": 0,
            "reason": None,
        }


def _links(tables: Tables, step: str) -> _Links:
    table = need(tables, "links", step)
    found = _Links(defaultdict(dict), defaultdict(set))
    names = (*SCOPE, "type", "source_id", "target_id", "score")
    for tenant, conversation, type_, source, target, score in zip(
        *(values(table, name) for name in names), strict=True
    ):
        if type_ == "associated":
            found.associated[tenant, conversation][source, target] = score
        elif type_ in RELATIONS:
            found.related[tenant, conversation].add((source, target))
    return found


def _pair(ids: tuple[str, str], node_of: dict[str, int]) -> Pair | None:
    """The nodes of two facts; None where one is no node (a session, a duplicate)."""
    one, other = node_of.get(ids[0]), node_of.get(ids[1])
    if one is None or other is None or one == other:
        return None
    return (one, other) if one < other else (other, one)


def _rows(found: _Found, told: Sequence[Portrait]) -> dict[str, list[dict[str, Any]]]:
    one = found.one
    scenes = zip(found.members.items(), found.untold.scenes, told, strict=True)
    return {
        "scenes": [
            one.scene_row(scene_id, nodes, scene, portrait)
            for (scene_id, nodes), scene, portrait in scenes
        ],
        "scene_members": [
            one.member_row(scene_id, node, found.weights[node])
            for scene_id, nodes in found.members.items()
            for node in nodes
        ],
        "links": [_link(one.scope, scene_id, ancestor) for scene_id, ancestor in found.lineage],
    }


def _centrality(scenes: dict[str, Community], graph: Graph) -> dict[int, float]:
    """Weighted degree of each member inside its scene, relative to the greatest."""
    scene_of = {node: scene_id for scene_id, nodes in scenes.items() for node in nodes}
    degree = dict.fromkeys(scene_of, 0.0)
    for (one, other), weight in graph.weights.items():
        if one in scene_of and scene_of[one] == scene_of.get(other):
            degree[one] += weight
            degree[other] += weight
    greatest = {
        scene_id: max(degree[node] for node in nodes) or 1.0 for scene_id, nodes in scenes.items()
    }
    return {node: round(degree[node] / greatest[scene_of[node]], 4) for node in degree}


def _salience(sessions: int, importance: list[float]) -> float:
    size = len(importance)
    mean = sum(importance) / size
    return round(0.35 * size / (size + 10) + 0.35 * sessions / (sessions + 3) + 0.3 * mean, 4)


def _link(scope: tuple[Any, ...], scene_id: str, ancestor: Ancestor) -> dict[str, Any]:
    return {
        "tenant": scope[0],
        "conversation_id": scope[1],
        "link_id": content_id("link", ancestor.type, scene_id, ancestor.scene_id),
        "type": ancestor.type,
        "source_id": scene_id,
        "target_id": ancestor.scene_id,
        "score": ancestor.share,
        "method": "leiden",
        "step": "leiden_scenes",
    }
