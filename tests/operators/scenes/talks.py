"""Invented talks about a few topics, with the associations a linker would find in them."""

from collections.abc import Sequence
from typing import Any

from operators.scenes import LeidenScenes
from schemas.ids import content_id
from tests.operators.samples import HashModels, fact, table

TOPICS = {
    "boat": "harbour boat sails mast varnish anchor",
    "oven": "oven sourdough crust flour yeast loaf",
    "kite": "kite ribbon gust spool meadow string",
    "moon": "telescope crater moon lens orbit eclipse",
}


def said(number: int, topic: str, session: int = 0, **more: Any) -> dict[str, Any]:
    """A statement about a topic: its name and two more of its words."""
    words = TOPICS[topic].split()
    first, second = words[number % len(words)], words[(number + 2) % len(words)]
    return fact(
        f"{topic}-{session}-{number:03}",
        session * 1500 + number,
        f"Ann saw the {first} near {words[1]} and the {second} once.",
        session_id=f"s{session:03}",
        cell_id=f"cell-{session}-{number // 2}",
        entities=["Ann"],
        **more,
    )


def link(later: dict[str, Any], earlier: dict[str, Any], type_="associated", score=0.6):
    ids = later["fact_id"], earlier["fact_id"]
    return {
        "tenant": later["tenant"],
        "conversation_id": later["conversation_id"],
        "link_id": content_id("link", type_, *ids),
        "type": type_,
        "source_id": ids[0],
        "target_id": ids[1],
        "score": score,
        "method": "gmm",
        "step": "associate",
    }


def associated(rows: Sequence[dict[str, Any]], most: int = 4) -> list[dict[str, Any]]:
    """Links to the last earlier facts on the same topic."""
    links: list[dict[str, Any]] = []
    seen: dict[Any, list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: (row["event_time"], row["message_id"])):
        topic = row["conversation_id"], row["message_id"].partition("-")[0]
        links += [link(row, earlier) for earlier in seen.get(topic, [])[-most:]]
        seen.setdefault(topic, []).append(row)
    return links


def scenes(rows: Sequence[dict[str, Any]], links: Sequence[dict[str, Any]] | None = None, **more):
    """The output tables as rows: scenes, members, links."""
    links = associated(rows) if links is None else links
    tables = {"facts": table("facts", rows), "links": table("links", links)}
    made = LeidenScenes(**more).run(tables, HashModels()).tables
    return [made[name].to_pylist() for name in ("scenes", "scene_members", "links")]


def members(rows: Sequence[dict[str, Any]]) -> dict[str, set[str]]:
    """Member ids by scene id."""
    out: dict[str, set[str]] = {}
    for row in rows:
        out.setdefault(row["scene_id"], set()).add(row["memory_id"])
    return out
