"""Ranked memories for a question: one result per message, in order of the fused score."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

import numpy as np

from operators.base import Tables
from operators.recall.bm25 import Floats, Ints
from operators.recall.conversation_index import ConversationIndex, said_until
from operators.recall.fusion import CHANNELS_OF, LED_TO, OFF_BY_DEFAULT, Weights, fuse, load_weights
from operators.recall.question import Asked, Question


@dataclass(frozen=True)
class Turn:
    """A message beside a result, as its context."""

    message_id: str
    speaker: str
    timestamp: datetime
    text: str

    def as_json(self) -> dict[str, str]:
        """The turn as JSON."""
        return {
            "message_id": self.message_id,
            "speaker": self.speaker,
            "timestamp": _rfc3339(self.timestamp),
            "text": self.text,
        }


@dataclass(frozen=True)
class Result:
    """One ranked memory; `source_message_ids` has the ranked message first."""

    rank: int
    score: float
    kind: str
    id: str
    text: str
    event_time: datetime
    source_message_ids: list[str]
    conversation_id: str
    channels: dict[str, float] = field(default_factory=dict[str, float])
    tenant: str = "default"
    tier: str = "targeted"
    context: tuple[Turn, ...] | None = None

    def as_json(self) -> dict[str, Any]:
        """The contract's JSON object, with more keys; `context` where it was asked for."""
        row: dict[str, Any] = {
            "rank": self.rank,
            "score": self.score,
            "kind": self.kind,
            "id": self.id,
            "text": self.text,
            "event_time": _rfc3339(self.event_time),
            "source_message_ids": self.source_message_ids,
            "conversation_id": self.conversation_id,
            "channels": self.channels,
            "tier": self.tier,
        }
        if self.context is not None:
            row["context"] = [turn.as_json() for turn in self.context]
        return row


class Searcher:
    """Search over the memory tables of one or several conversations.

    Method: features of every channel per message, fused by a weighted sum (see `fusion`);
    channels that start from the best messages (graph, feedback) take those by the sum of the
    others. The message is what is ranked, so that facts cut from one message do not crowd out
    others; each result shows its message's best fact.

    Deterministic: scores are rounded to four digits, ties go to the earlier message.

    Args:
        tables: rows of the memory tables named in `conversation_index.SEARCHED`, in any order.
        as_of: leave out whatever was said later; facts are judged as they stood then.
        weights: fusion weights of every feature; the shipped ones by default.
    """

    def __init__(
        self,
        tables: Tables,
        *,
        as_of: datetime | None = None,
        weights: Weights | None = None,
    ):
        self.index = ConversationIndex(tables if as_of is None else said_until(tables, as_of))
        self._weights = weights
        self._as_of = as_of
        self._facts_of = _rows_by_message(self.index.fact_message)
        self._by_id = {f["fact_id"]: f for f in self.index.facts}
        self._duplicates: dict[str, list[str]] = {}
        for fact in self.index.facts:
            if fact["canonical_id"]:
                same = self._duplicates.setdefault(fact["canonical_id"], [])
                same.append(fact["message_id"])

    def search(
        self,
        question: Question,
        k: int = 10,
        without: Collection[str] = (),
        also: Collection[str] = (),
    ) -> list[Result]:
        """The `k` best messages for the question.

        `without` names channels to leave out, `also` those to use that are off by default.
        """
        index = self.index
        if not index.messages or k < 1:
            return []
        asked = index.read(question)
        weights = self._weights or _shipped("all" if OFF_BY_DEFAULT & set(also) else "default")
        on = CHANNELS_OF["all"] - set(without) - (OFF_BY_DEFAULT - set(also))
        features = self.features(asked, on)
        scores, shares = fuse(features, weights, index.mean_length, CHANNELS_OF["all"] - on)
        if not scores.size:
            return []
        order = np.argsort(-scores, kind="stable")[:k]
        return [
            self._result(rank, int(i), float(scores[i]), asked.cosines, _at(shares, int(i)))
            for rank, i in enumerate(order, 1)
        ]

    def features(self, asked: Asked, channels: Collection[str]) -> dict[str, Floats]:
        """Features per message of the `channels`; those of LED_TO start from the others' best."""
        index = self.index
        found = index.features(asked, channels)
        if LED_TO & set(channels):
            off = CHANNELS_OF["seeds"] - set(channels)
            scores, _ = fuse(found, _shipped("seeds"), index.mean_length, off)
            found |= index.levels.led_to(asked, channels, scores)
        return found

    def _result(
        self, rank: int, number: int, score: float, cosines: Floats, shares: dict[str, float]
    ) -> Result:
        message = self.index.messages[number]
        fact = self._best_fact(number, cosines)
        kind, row, identity = "message", message, message["message_id"]
        sources = [message["message_id"]]
        if fact is not None:
            kind, row, identity = "fact", fact, fact["fact_id"]
            sources += [*fact["source_message_ids"], *self._duplicates.get(identity, [])]
        return Result(
            rank=rank,
            score=score,
            kind=kind,
            id=identity,
            text=row["text"],
            event_time=message["timestamp"],
            source_message_ids=list(dict.fromkeys(sources)),
            conversation_id=message["conversation_id"],
            channels=shares,
            tenant=message["tenant"],
        )

    def _best_fact(self, number: int, cosines: Floats) -> dict[str, Any] | None:
        """The message's active fact nearest the question; for a duplicate, what stands for it."""
        best: tuple[float, dict[str, Any]] | None = None
        for row in self._facts_of.get(number, ()):
            fact = self.index.facts[row]
            fact = self._by_id.get(fact["canonical_id"] or "", fact)
            if not self._is_active(fact):
                continue
            cosine = float(np.nan_to_num(cosines[row], nan=-1.0))
            if best is None or cosine > best[0]:
                best = cosine, fact
        return best[1] if best else None

    def _is_active(self, fact: Mapping[str, Any]) -> bool:
        end = fact["valid_to"]
        if self._as_of is None:
            return fact["status"] != "superseded"
        return end is None or end > self._as_of


@lru_cache(maxsize=len(CHANNELS_OF))
def _shipped(name: str) -> Weights:
    return load_weights(name)


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _rows_by_message(fact_message: Ints) -> dict[int, list[int]]:
    rows: dict[int, list[int]] = {}
    for row, number in enumerate(fact_message.tolist()):
        rows.setdefault(number, []).append(row)
    return rows


def _at(shares: Mapping[str, Floats], number: int) -> dict[str, float]:
    return {channel: float(share[number]) for channel, share in shares.items()}
