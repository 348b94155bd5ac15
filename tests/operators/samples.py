"""Invented messages and facts for operator tests, and a model that hashes words."""

import hashlib
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from operators.llm.call import Answer, Request
from operators.llm.spec import AnyLlm
from operators.vectors import text_hash
from schemas.ids import content_hash, content_id
from schemas.tables import TABLES

START = datetime(2024, 1, 1, tzinfo=UTC)
MODEL = "fake@1"


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def table(name: str, rows: Sequence[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=TABLES[name].schema)


def message(message_id: str, minutes: float, speaker: str = "Ann", text: str = "", **more: Any):
    row = {
        "tenant": "default",
        "conversation_id": "c",
        "message_id": message_id,
        "revision": 0,
        "is_current": True,
        "conflict": False,
        "speaker": speaker,
        "role": None,
        "timestamp": at(minutes),
        "seq": 0,
        "text": text or f"text of {message_id}",
        "given_session_id": None,
        "session_id": None,
        "attachments": None,
        "metadata": None,
    }
    row |= {"content_hash": content_hash(message_id, row["text"]), **more}
    return row


def fact(key: str, minutes: float, text: str = "", **more: Any) -> dict[str, Any]:
    """A fact whose id and message come from `key`."""
    conversation = more.get("conversation_id", "c")
    row: dict[str, Any] = {
        "tenant": "default",
        "conversation_id": conversation,
        "session_id": "s",
        "cell_id": "cell",
        "fact_id": content_id("fact", conversation, key),
        "message_id": key,
        "source_message_ids": [key],
        "span_start": 0,
        "span_end": 1,
        "ordinal": 0,
        "seq": 0,
        "speaker": "Ann",
        "role": None,
        "text": text or f"statement {key}",
        "kind": "factual",
        "event_time": at(minutes),
        "occurred_start": None,
        "occurred_end": None,
        "time_text": None,
        "importance": 0.5,
        "entities": [],
        "topics": [],
        "unsupported": [],
        "subject": None,
        "attribute": None,
        "value": None,
        "extractor": "test",
        "status": "active",
        "canonical_id": None,
        "valid_from": None,
        "valid_to": None,
        "superseded_by": None,
    }
    return row | more


def says(key: str, minutes: float, value: str, attribute: str = "home_city", **more: Any):
    """A fact about an attribute of Ann."""
    more = {"subject": "Ann", "attribute": attribute, "value": value} | more
    return fact(key, minutes, f"Ann: {attribute} {value}.", **more)


class HashModels:
    """Unit vectors from hashed words: shape and sharing of words, nothing of meaning."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def embed(self, texts: Sequence[str], model_id: str):
        self.sent += texts
        return np.array([word_vector(text) for text in texts], np.float32).reshape(len(texts), 16)

    def token_counts(self, texts: Sequence[str], model_id: str):
        return [len(text.split()) for text in texts]

    def generate(self, llm: AnyLlm, requests: Sequence[Request]) -> Sequence[Answer]:
        raise AssertionError("this operator must not call a language model")

    def set_aside(self, request: Request, answer: Answer, reason: str) -> None:
        raise AssertionError("this operator must not call a language model")


def word_vector(text: str):
    vector = np.full(16, 1e-3)
    for word in text.casefold().split():
        digest = hashlib.sha256(word.encode()).digest()[:16]
        vector += np.frombuffer(digest, np.uint8).astype(float) - 127.5
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def embeddings(facts: pa.Table, vector: Any = word_vector) -> pa.Table:
    seen = {(r["tenant"], r["conversation_id"], r["text"]) for r in facts.to_pylist()}
    return table(
        "embeddings",
        [
            {
                "tenant": tenant,
                "conversation_id": conversation,
                "text_hash": text_hash(text),
                "model_id": MODEL,
                "vector": vector(text),
            }
            for tenant, conversation, text in sorted(seen)
        ],
    )


def shuffled(data: pa.Table, seed: int) -> pa.Table:
    rows = list(range(data.num_rows))
    random.Random(seed).shuffle(rows)
    return data.take(rows)


WORDS = [
    "garden",
    "violin",
    "harbour",
    "lantern",
    "meadow",
    "cinnamon",
    "bicycle",
    "telescope",
    "river",
    "kitchen",
]


def log(seed: int, size: int = 120) -> list[dict[str, Any]]:
    """Messages of three conversations of two tenants, with gaps, ties and given sessions."""
    rng = random.Random(seed)
    rows: list[dict[str, Any]] = []
    for number in range(size):
        conversation = rng.choice(["c1", "c2", "c3"])
        rows.append(
            message(
                f"m{number}",
                rng.choice([0, 5, 5, 700, 1500]) + rng.randrange(6) * 37,
                rng.choice(["Ann", "Ben"]),
                " ".join(rng.choices(WORDS, k=4)),
                tenant="acme" if conversation == "c3" else "default",
                conversation_id=conversation,
                seq=rng.randrange(3),
                given_session_id=rng.choice([None, None, None, "given"]),
            )
        )
    return rows


def facts_of(messages: pa.Table, seed: int) -> pa.Table:
    """Facts as an extractor would make them: repeats, attributes, names, dates."""
    rng = random.Random(seed)
    rows: list[dict[str, Any]] = []
    for said in sorted(messages.to_pylist(), key=lambda row: row["message_id"]):
        shared = {
            "tenant": said["tenant"],
            "conversation_id": said["conversation_id"],
            "session_id": said["session_id"],
            "message_id": said["message_id"],
            "speaker": said["speaker"],
            "seq": said["seq"],
            "event_time": said["timestamp"],
        }
        key = f"{said['tenant']}/{said['message_id']}"
        word = rng.choice(WORDS)
        name = rng.choice(["Zoe", "Zoe Hall", "Tara's", "Ben", "Omar"])
        rows.append(
            fact(key, 0, f"{said['speaker']} met {name} in the {word}.", entities=[name], **shared)
        )
        if rng.random() < 0.5:
            city = rng.choice(["Rome", "Oslo", "rome"])
            about = {"subject": said["speaker"], "attribute": "home_city", "value": city}
            text = f"{said['speaker']} lives in {city}."
            extra = {"occurred_start": at(-500)} if rng.random() < 0.3 else {}
            more = {**about, **extra, **shared, "ordinal": 1, "entities": [city]}
            rows.append(fact(key + "/1", 0, text, **more))
    return table("facts", rows)
