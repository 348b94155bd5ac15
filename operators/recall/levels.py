"""The levels above the facts, as channels: scenes, personas, trees, links, sessions' units."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from operators.base import Tables
from operators.recall.bm25 import Floats, Ints
from operators.recall.browse import TreeBrowser
from operators.recall.feedback import Feedback
from operators.recall.granularity import SessionUnits, routed
from operators.recall.graph import Edge, Membership, MemoryGraph, seeds_of
from operators.recall.persona import PersonaIndex
from operators.recall.question import Asked
from operators.recall.scene import SceneIndex
from operators.recall.speaker import is_first_person

if TYPE_CHECKING:  # the index holds its levels
    from operators.recall.conversation_index import ConversationIndex

_ADJACENT = 0.3
"""Weight of two messages that follow each other, about that of a loose association."""
_Row = Mapping[str, Any]


class Levels:
    """Channels over episodes, scenes, personas, trees and links, each built on first use.

    Tables without rows give features that are 0 throughout, so that a warehouse built
    without the hierarchy is searched as before.

    Args:
        index: messages, facts and their vectors.
        tables: the tables of `SEARCHED`.
    """

    def __init__(self, index: "ConversationIndex", tables: Tables):
        self._index = index
        self._tables = tables
        self._messages = len(index.messages)
        self._fact = {f["fact_id"]: i for i, f in enumerate(index.facts)}
        self._row = {
            index.facts[fact]["fact_id"]: row for row, fact in enumerate(index.embedded.tolist())
        }

    def features(self, asked: Asked, channels: Collection[str]) -> dict[str, Floats]:
        """Features per message of those of the `channels` that are above the facts."""
        out: dict[str, Floats] = {}
        if "scene" in channels:
            out["scene_word"] = self._scenes.words(asked.terms)
            out["scene_near"] = self._scenes.near(asked.nearness)
        if "persona" in channels:
            out["persona"] = self._personas.scores(asked.words, is_first_person(asked.words))
        if "tree" in channels:
            out["tree"] = self._browser.reached(self._index.apart.rest(asked.question.vector))
        if "granularity" in channels:
            out |= self._of_sessions(asked)
        return out

    def led_to(self, asked: Asked, channels: Collection[str], scores: Floats) -> dict[str, Floats]:
        """Features of the channels that start from the best messages by `scores`."""
        out: dict[str, Floats] = {}
        if "graph" in channels:
            seeds = seeds_of(scores)
            out["walk"] = self._graph.walk(seeds)
            out["spread"] = self._graph.spread(seeds)
        if "feedback" in channels:
            embedded = self._index.embedded
            moved = self._feedback.cosines(asked.rest, asked.nearness[embedded], scores)
            out["fed_best"], out["fed_mean"] = self._index.best_of_facts(moved)
            out["fed_word"] = self._feedback.words(asked.terms, scores)
        return out

    def _of_sessions(self, asked: Asked) -> dict[str, Floats]:
        session = self._index.session
        rest = self._index.apart.rest(asked.question.vector)
        units = self._units.scores(rest, asked.terms)
        turn = np.zeros(self._messages)
        near = np.maximum(np.nan_to_num(asked.nearness), 0.0)
        np.maximum.at(turn, self._index.fact_message, near)
        weight = routed({"turn": turn, **units})
        spread = {name: values[session] for name, values in units.items()}
        total = weight["turn"] * turn
        for name, values in spread.items():
            total = total + weight[name] * values
        return {
            "session": spread["session"],
            "summary": spread["summary"],
            "keywords": spread["keywords"],
            "routed": np.round(total, 4),
        }

    @cached_property
    def _units(self) -> SessionUnits:
        index = self._index
        number = {
            (m["tenant"], m["conversation_id"], m["session_id"]): int(s)
            for m, s in zip(index.messages, index.session.tolist(), strict=True)
        }
        episodes: list[tuple[int, Ints, list[str]]] = []
        for row in self._tables["episodes"].to_pylist():
            scope = row["tenant"], row["conversation_id"]
            session = number.get((*scope, row["session_id"]))
            found = [index.number.get((*scope, m)) for m in row["source_message_ids"]]
            if session is not None:
                numbers = np.array([n for n in found if n is not None], np.int64)
                episodes.append((session, numbers, row["keywords"]))
        rest = index.apart.rest(index.vectors)
        return SessionUnits(rest, index.vector_message, index.session, episodes)

    @cached_property
    def _members(self) -> tuple[Sequence[_Row], Sequence[_Row]]:
        """Scenes, and their members that are known facts and in good standing; sorted."""
        scenes = sorted(self._tables["scenes"].to_pylist(), key=lambda s: s["scene_id"])
        known = {s["scene_id"] for s in scenes}
        members = [
            m
            for m in self._tables["scene_members"].to_pylist()
            if m["scene_id"] in known and m["memory_id"] in self._fact and m["status"] != "demoted"
        ]
        return scenes, sorted(members, key=lambda m: (m["scene_id"], m["memory_id"]))

    @cached_property
    def _scenes(self) -> SceneIndex:
        scenes, members = self._members
        place = {s["scene_id"]: i for i, s in enumerate(scenes)}
        facts = np.array([self._fact[m["memory_id"]] for m in members], np.int64)
        held = (
            np.array([place[m["scene_id"]] for m in members], np.int64),
            self._index.fact_message[facts],
            np.array([m["weight"] for m in members], np.float64),
        )
        return SceneIndex(scenes, held, facts, self._messages)

    @cached_property
    def _personas(self) -> PersonaIndex:
        rows = sorted(self._tables["personas"].to_pylist(), key=lambda p: p["persona_id"])
        evidence = [
            np.array([self._message(f) for f in row["evidence"] if f in self._fact], np.int64)
            for row in rows
        ]
        users = frozenset(m["speaker"].lower() for m in self._index.messages if m["role"] == "user")
        return PersonaIndex(rows, evidence, self._messages, users)

    @cached_property
    def _browser(self) -> TreeBrowser:
        index = self._index
        nodes = self._tables["memtree_nodes"].to_pylist()
        rest = index.apart.rest(index.vectors)
        return TreeBrowser(nodes, self._row.get, rest, index.vector_message, self._messages)

    @cached_property
    def _graph(self) -> MemoryGraph:
        scenes, members = self._members
        place = {s["scene_id"]: i for i, s in enumerate(scenes)}
        held = (
            Membership(place[m["scene_id"]], self._message(m["memory_id"]), m["weight"])
            for m in members
        )
        return MemoryGraph(self._messages, self._edges(), held)

    def _edges(self) -> Iterator[Edge]:
        for row in self._tables["links"].to_pylist():
            if row["source_id"] in self._fact and row["target_id"] in self._fact:
                ends = self._message(row["source_id"]), self._message(row["target_id"])
                yield Edge(*ends, row["score"])
        session = self._index.session
        for one in np.flatnonzero(session[1:] == session[:-1]).tolist():
            yield Edge(one, one + 1, _ADJACENT)

    @cached_property
    def _feedback(self) -> Feedback:
        index = self._index
        return Feedback(index.apart, index.vectors, index.vector_message, index.counts, index.word)

    def _message(self, fact_id: str) -> int:
        return int(self._index.fact_message[self._fact[fact_id]])
