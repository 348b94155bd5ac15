"""Memories that belong together: links chosen by a Gaussian mixture over similarities."""

from collections.abc import Iterator
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from pydantic import Field

from operators.associations.gaussian_mixture import Mask, upper_component
from operators.associations.nearest import (
    Nearest,
    centred_cosines,
    cosines,
    nearest_by_group,
    nearest_earlier,
)
from operators.associations.session_units import (
    KeywordUnits,
    Session,
    full_units,
    summary_units,
    turn_units,
)
from operators.base import Key, Models, Operator, StepResult, Tables, Vectors
from operators.episodes.keywords import BREAK, phrases
from operators.frames import FACT_ORDER, SCOPE, build, groups, need, values
from operators.vectors import TextVectors
from schemas.ids import content_id

_FACT_COLUMNS = (
    *("fact_id", "session_id", "cell_id", "message_id"),
    *("speaker", "text", "status"),
)
_EPISODE_COLUMNS = ("session_id", "content", "keywords", "source_message_ids")
_UNIT_COLUMNS = ("cell_id", "message_id", "text")
_FACT = "fact"
_SHORT_CHARS = 80
_LEAST_WORDS = 2  # of content, in a short text: "What happened?" is like any other question

_Columns = dict[str, list[Any]]
_Scope = tuple[Any, ...]


class _Level(NamedTuple):
    """Units of one granularity in event order, and the nearest earlier ones of each."""

    scope: _Scope
    granularity: str
    ids: list[str]
    nearest: Nearest
    floor: float
    most_links: int


class _Link(NamedTuple):
    scope: _Scope
    source: str
    target: str
    score: float
    method: str


class GmmAssociations(Operator, frozen=True):
    """Link each memory to the earlier ones that stand out among its nearest.

    Method: MemGAS's associations (a two-component Gaussian mixture over the top-n similarities
    to earlier units; what the higher-mean component explains is accepted), for facts and for
    sessions at four granularities: full text (mean vector of the facts, weighed by length),
    turns (mean over cells), summary (the episode's statements) and keywords (sets weighed by
    rarity). Unlike MemGAS's, every unit is compared with all earlier ones in event order, not
    of arrival, so that the links are a function of the set of facts. Each accepted link must
    reach a floor too, since a mixture finds two components in any scores; where there are
    too few scores for one, a higher threshold decides. Duplicates and statements of hardly a word
    of content are no units; they count in their session's. Facts of the same session are
    nearest almost always, so they have a fit of their own beside that of all other sessions'
    facts; facts are compared about the mean of what was said before (`centred_cosines`).

    Scores are exact integers before they are rounded to four digits; ties go to the earlier
    unit. A fact's links do not depend on later facts; a session's do through the rarity of
    keywords only.

    Input: `facts`, `embeddings` (by hash of the text), `episodes`.
    Output: `links` of type `associated` from the later to the earlier fact (method `gmm`, or
    `cosine` where the threshold decided) or session (method `gmm:` and the granularities that
    accepted it, such as `gmm:full+summary`), with the cosine (of sessions, the best one).
    Errors: `ValueError` for a fact whose text has no vector. Cost: none. Deterministic.

    Attributes:
        neighbours: n, how many nearest earlier units the mixture is fitted to.
        floor: least score of a link between facts (cosine about the mean).
        session_floor: least cosine of a link between sessions by their vectors,
        keyword_floor: and by their keywords.
        threshold: least score of a link where a unit has fewer than `least` earlier ones.
        least: fewest similarities that a mixture is fitted to.
        most_links: most links from a fact to facts of other sessions, and from a session to
            others by each granularity.
        session_links: most links from a fact to facts of its own session.
    """

    operator: Literal["gmm_associations"] = "gmm_associations"
    neighbours: int = Field(default=20, ge=2)
    floor: float = Field(default=0.3, ge=-1, le=1)
    session_floor: float = Field(default=0.5, ge=-1, le=1)
    keyword_floor: float = Field(default=0.15, ge=0, le=1)
    threshold: float = Field(default=0.6, ge=-1, le=1)
    least: int = Field(default=4, ge=2)
    most_links: int = Field(default=4, ge=1)
    session_links: int = Field(default=2, ge=0)

    READS: ClassVar[tuple[str, ...]] = ("facts", "embeddings", "episodes")
    WRITES: ClassVar[tuple[str, ...]] = ("links",)
    KEY: ClassVar[Key] = Key.CONVERSATION

    def run(self, tables: Tables, models: Models) -> StepResult:
        """Link the facts and the sessions of all conversations of the call."""
        del models
        facts = need(tables, "facts", self.operator)
        episodes = need(tables, "episodes", self.operator)
        column = {name: values(facts, name) for name in _FACT_COLUMNS}
        told = {name: values(episodes, name) for name in _EPISODE_COLUMNS}
        of_scope = groups(episodes, SCOPE, ("start_time", "session_id"))
        vectors = TextVectors(need(tables, "embeddings", self.operator))
        levels: list[_Level] = []
        for scope, rows in groups(facts, SCOPE, FACT_ORDER).items():
            found = vectors.get(scope, [column["text"][row] for row in rows])
            levels += self._fact_levels(scope, rows, column, found)
            sessions = _sessions(rows, column, found, of_scope.get(scope, []), told)
            levels += self._session_levels(scope, sessions)
        links = self._links(levels)
        counters = {"in": facts.num_rows, "out": facts.num_rows, "links": len(links)}
        return StepResult({"links": _table(links, self.operator)}, counters)

    def _fact_levels(
        self, scope: _Scope, rows: list[int], column: _Columns, vectors: Vectors
    ) -> list[_Level]:
        kept = [at for at, row in enumerate(rows) if _is_unit(row, column)]
        ids = [column["fact_id"][rows[at]] for at in kept]
        number: dict[str, int] = {}
        sessions = [number.setdefault(column["session_id"][rows[at]], len(number)) for at in kept]
        within, across = nearest_by_group(
            centred_cosines(vectors[kept]), np.array(sessions, np.int64), self.neighbours
        )
        return [
            _Level(scope, _FACT, ids, within, self.floor, self.session_links),
            _Level(scope, _FACT, ids, across, self.floor, self.most_links),
        ]

    def _session_levels(self, scope: _Scope, sessions: list[Session]) -> list[_Level]:
        if len(sessions) < 2:
            return []
        ids = [session.session_id for session in sessions]
        floor = self.session_floor
        units = {
            "full": (cosines(full_units(sessions)), floor),
            "keywords": (KeywordUnits(sessions).scores, self.keyword_floor),
            "summary": (cosines(summary_units(sessions)), floor),
            "turns": (cosines(turn_units(sessions)), floor),
        }
        return [
            _Level(
                scope,
                granularity,
                ids,
                nearest_earlier(scores, len(ids), self.neighbours),
                least,
                self.most_links,
            )
            for granularity, (scores, least) in units.items()
        ]

    def _links(self, levels: list[_Level]) -> list[_Link]:
        """Links of all units. One fit serves all levels: a row does not depend on the others."""
        if not levels:
            return []
        scores = np.concatenate([level.nearest.scores for level in levels])
        counts = np.concatenate([level.nearest.counts for level in levels])
        sizes = [len(level.ids) for level in levels]
        floors = np.repeat([round(level.floor, 4) for level in levels], sizes)
        most_links = np.repeat([level.most_links for level in levels], sizes)
        fitted = upper_component(scores, counts)
        by_mixture = fitted.parted & (counts >= self.least)
        accepted = np.where(
            by_mixture[:, None],
            fitted.scores & (scores >= floors[:, None]),
            scores >= np.maximum(round(self.threshold, 4), floors)[:, None],
        )
        accepted &= np.arange(scores.shape[1])[None, :] < counts[:, None]
        accepted &= np.cumsum(accepted, axis=1) <= most_links[:, None]
        links: list[_Link] = []
        sessions: dict[tuple[_Scope, str, str], list[tuple[str, float]]] = {}
        start = 0
        for level, size in zip(levels, sizes, strict=True):
            part = slice(start, start + size)
            start += size
            for source, target, score, mixture in _pairs(level, accepted[part], by_mixture[part]):
                if level.granularity == _FACT:
                    method = "gmm" if mixture else "cosine"
                    links.append(_Link(level.scope, source, target, score, method))
                else:
                    pair = (level.scope, source, target)
                    sessions.setdefault(pair, []).append((level.granularity, score))
        for (scope, source, target), found in sessions.items():
            method = "gmm:" + "+".join(sorted(name for name, _ in found))
            best = max(score for _, score in found)
            links.append(_Link(scope, source, target, best, method))
        return links


def _is_unit(row: int, column: _Columns) -> bool:
    if column["status"][row] == "duplicate":
        return False
    said = column["text"][row].removeprefix(column["speaker"][row] + ":")
    if len(said) > _SHORT_CHARS:
        return True
    words = phrases(said, frozenset())
    return len(words) - words.count(BREAK) >= _LEAST_WORDS


def _pairs(
    level: _Level, accepted: Mask, by_mixture: Mask
) -> Iterator[tuple[str, str, float, bool]]:
    """Source, target, score, and whether the mixture decided."""
    rows, places = np.nonzero(accepted)
    sources = [level.ids[row] for row in rows.tolist()]
    targets = [level.ids[row] for row in level.nearest.targets[rows, places].tolist()]
    scores: list[float] = level.nearest.scores[rows, places].tolist()
    mixtures: list[bool] = by_mixture[rows].tolist()
    yield from zip(sources, targets, scores, mixtures, strict=True)


def _sessions(
    rows: list[int], column: _Columns, vectors: Vectors, episodes: list[int], told: _Columns
) -> list[Session]:
    """The sessions with an episode, in event order; facts are given in event order."""
    members: dict[str, list[int]] = {}
    for at, row in enumerate(rows):
        members.setdefault(column["session_id"][row], []).append(at)
    out: list[Session] = []
    for episode in episodes:
        session_id = told["session_id"][episode]
        mine = members.get(session_id, [])
        if mine:
            of = {name: [column[name][rows[at]] for at in mine] for name in _UNIT_COLUMNS}
            sources = set(told["source_message_ids"][episode])
            content = told["content"][episode]
            retold = [
                at
                for at, (message, text) in enumerate(zip(of["message_id"], of["text"], strict=True))
                if message in sources and " ".join(text.split()) in content
            ]
            out.append(
                Session(
                    session_id,
                    vectors[mine],
                    [len(text) for text in of["text"]],
                    of["cell_id"],
                    retold,
                    told["keywords"][episode],
                )
            )
    return out


def _table(links: list[_Link], step: str) -> pa.Table:
    return build(
        "links",
        {
            "tenant": [link.scope[0] for link in links],
            "conversation_id": [link.scope[1] for link in links],
            "link_id": [
                content_id("link", "associated", link.source, link.target) for link in links
            ],
            "type": ["associated"] * len(links),
            "source_id": [link.source for link in links],
            "target_id": [link.target for link in links],
            "score": [link.score for link in links],
            "method": [link.method for link in links],
            "step": [step] * len(links),
        },
    )
