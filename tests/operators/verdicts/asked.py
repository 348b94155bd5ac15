"""Facts with made-up vectors, and what the operator asks about them."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from operators.base import StepResult
from operators.llm.call import Request
from operators.verdicts.llm_verdicts import LlmVerdicts
from schemas.ids import content_id
from tests.operators.llm.fakes import LLM, ScriptedModels
from tests.operators.samples import embeddings, fact, table

DAY = 24 * 60
_PAIR = re.compile(r"^\[(\d+)\] (\S+) (.*)$")


def spot(*places: float):
    """A unit vector with these components, of 16."""
    vector = np.zeros(16, np.float32)
    vector[: len(places)] = places
    return vector / np.linalg.norm(vector)


def told(key: str, day: float, text: str, **more: Any) -> dict[str, Any]:
    """A fact of Ann, in a session of its day."""
    return fact(key, day * DAY, text, **{"session_id": f"s{int(day):03}", **more})


def numbers(request: Request) -> list[int]:
    """The numbers of the pairs of a request."""
    lines = request.turns[1][1].splitlines()
    return [int(found[1]) for line in lines if (found := _PAIR.match(line))]


def answer(verdicts: Mapping[int, str]) -> str:
    pairs = [{"pair": pair, "verdict": verdict} for pair, verdict in verdicts.items()]
    return json.dumps({"verdicts": pairs})


def all_are(verdict: str) -> Callable[[Request], str]:
    """A model that says the same of every pair."""
    return lambda request: answer(dict.fromkeys(numbers(request), verdict))


def run(
    rows: Sequence[dict[str, Any]],
    vectors: Mapping[str, Any] | None = None,
    script: Callable[[Request], str] | None = None,
    **parameters: Any,
) -> tuple[StepResult, ScriptedModels]:
    """The result, and the models that were asked; texts without a vector are alike."""
    facts = table("facts", rows)
    known = vectors or {}
    given = {"facts": facts, "embeddings": embeddings(facts, lambda t: known.get(t, spot(1)))}
    models = ScriptedModels(script or all_are("unrelated"))
    return LlmVerdicts(llm=LLM, **parameters).run(given, models), models


def pairs(
    rows: Sequence[dict[str, Any]], vectors: Mapping[str, Any] | None = None, **parameters: Any
) -> list[tuple[str, str, str]]:
    """What is asked: keys of the later and of the earlier fact, and why, in key order."""
    result, _ = run(rows, vectors, **parameters)
    key = {row["fact_id"]: row["message_id"] for row in rows}
    found = result.tables["verdicts"].to_pylist()
    return sorted((key[r["later_id"]], key[r["earlier_id"]], r["reason"]) for r in found)


def verdict(later: str, earlier: str, said: str, score: float = 0.8, **more: Any):
    """A row of the table `verdicts` about the facts of two keys."""
    conversation = more.get("conversation_id", "c")
    ids = {
        "later_id": content_id("fact", conversation, later),
        "earlier_id": content_id("fact", conversation, earlier),
    }
    row = {"tenant": "default", "conversation_id": conversation, "score": score, "reason": "near"}
    return row | ids | {"verdict": said} | more
