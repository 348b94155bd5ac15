"""Invented facts as pairs, and the operator run on them."""

from collections.abc import Sequence
from typing import Any

from operators.frames import FACT_ORDER, SCOPE, groups, values
from operators.relations import Pair, Statement, TypedRelations, statements
from schemas.ids import content_id
from tests.operators.samples import HashModels, embeddings, fact, table

DAY = 24 * 60
FILLER = [f"Ben: {word} {word}er." for word in ("plinth", "quartz", "tundra", "walrus", "zither")]


def read(rows: Sequence[dict[str, Any]]) -> list[Statement]:
    """Facts of one conversation as statements, in event order."""
    facts = table("facts", rows)
    (order,) = groups(facts, SCOPE, FACT_ORDER).values()
    return statements({name: values(facts, name) for name in facts.column_names}, order)


def pair(earlier: str, later: str, cosine: float = 0.8, **more: Any) -> Pair:
    """Two statements of Ann, a week apart, in a conversation with a few others.

    `first` and `second` hold other columns of the two facts.
    """
    first = {"session_id": "s1", "cell_id": "x1"} | more.pop("first", {})
    second = {"session_id": "s2", "cell_id": "x2"} | more.pop("second", {})
    rows = [
        fact("a", 0, earlier, **first),
        *(fact(f"f{n}", 1 + n, text, speaker="Ben") for n, text in enumerate(FILLER)),
        fact("b", 7 * DAY, later, **second),
    ]
    told = {statement.message_id: statement for statement in read(rows)}
    flags = {"neighbours": False, "superseded": False} | more
    return Pair(
        told[first.get("message_id", "a")], told[second.get("message_id", "b")], cosine, **flags
    )


def linked(later: str, earlier: str, type_: str = "associated") -> dict[str, Any]:
    """A link between the facts of two keys, as an earlier step writes it."""
    source, target = (content_id("fact", "c", key) for key in (later, earlier))
    return {
        "tenant": "default",
        "conversation_id": "c",
        "link_id": content_id("link", type_, source, target),
        "type": type_,
        "source_id": source,
        "target_id": target,
        "score": 0.7,
        "method": "gmm",
        "step": "associate",
    }


def relate(
    rows: Sequence[dict[str, Any]],
    links: Sequence[dict[str, Any]] = (),
    verdicts: Sequence[dict[str, Any]] = (),
    **parameters: Any,
):
    """Relations as {(later, earlier) keys: (type, method)}."""
    facts = table("facts", rows)
    given = {"facts": facts, "embeddings": embeddings(facts), "links": table("links", links)}
    given["verdicts"] = table("verdicts", verdicts)
    result = TypedRelations(**parameters).run(given, HashModels())
    key = {row["fact_id"]: row["message_id"] for row in rows}
    return {
        (key[link["source_id"]], key[link["target_id"]]): (link["type"], link["method"])
        for link in result.tables["links"].to_pylist()
    }
