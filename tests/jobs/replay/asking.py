"""A warehouse of invented talks, really embedded, and an engine that only repeats."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from jobs.run_record import DONE, RunRecord
from operators.embedding.minilm import MiniLm
from operators.replay.engines.base import ReplayAnswer, ReplayRequest
from operators.replay.spec import ReplaySpec
from operators.vectors import text_hash
from pipelines.plan import plan
from tests.jobs.replay.kv_builds import FakeCompressor
from tests.operators.samples import fact, message, table
from transforms.warehouse.commit import ChangeSet, commit
from transforms.warehouse.connection import Warehouse, open_warehouse

BEES = [
    "I keep bees behind the mill.",
    "The bees gave nine jars of honey.",
    "Bees sleep in the hive all winter.",
    "A bee sting swells for two days.",
]
STARS = [
    "My telescope has a cracked lens.",
    "A new lens for the telescope costs too much.",
    "Saturn's rings showed in the telescope.",
    "The telescope stands on the roof.",
]
DULL = [f"It was day {n} and nothing much went on." for n in range(40)]
TALKS = {"hobbies": [*BEES, *STARS], "dull": DULL, "other": BEES}


def talks_warehouse(
    path: Path, talks: Mapping[str, Sequence[str]] = TALKS, spec: ReplaySpec | None = None
) -> Path:
    """Messages, facts, vectors and a run, as if a pipeline with that section had built them."""
    built_by = replace(plan("conversation_memory"), replay=spec or ReplaySpec())
    run = RunRecord("run", built_by, "talks")
    with open_warehouse(path) as warehouse:
        for conversation, texts in talks.items():
            add_messages(warehouse, conversation, texts)
        commit(warehouse, [], [ChangeSet("runs", inserts=run.row(DONE, {}))])
    return path


def add_messages(
    warehouse: Warehouse, conversation: str, texts: Sequence[str], first: int = 0
) -> None:
    """Messages of one session, each with a fact of its words."""
    rows: dict[str, list[dict[str, Any]]] = {"messages": [], "facts": [], "embeddings": []}
    vectors = MiniLm().embed(list(texts))
    for n, (text, vector) in enumerate(zip(texts, vectors, strict=True), first):
        scope = {"conversation_id": conversation, "session_id": f"{conversation}/s"}
        rows["messages"].append(message(f"{conversation}/{n}", n, text=text, **scope))
        rows["facts"].append(fact(f"{conversation}/{n}", n, text, **scope))
        rows["embeddings"].append(
            {
                "tenant": "default",
                "conversation_id": conversation,
                "text_hash": text_hash(text),
                "model_id": MiniLm.model_id,
                "vector": vector,
            }
        )
    commit(warehouse, [ChangeSet(n, inserts=table(n, r)) for n, r in rows.items()])


class RepeatingEngine:
    """Answers with the last word of the question; remembers what it was asked."""

    fingerprint = "model-1"

    def __init__(self) -> None:
        self.calls: list[list[ReplayRequest]] = []
        self.closed = 0

    def answer(self, requests: Sequence[ReplayRequest]) -> list[ReplayAnswer]:
        self.calls.append(list(requests))
        return [
            ReplayAnswer(r.tokens[-1:], WordTokenizer.words[r.tokens[-1]], 1.5) for r in requests
        ]

    def close(self) -> None:
        self.closed += 1


class WordTokenizer:
    """A token per word, without a chat template."""

    chat_template = None
    bos_token = ""
    words: ClassVar[list[str]] = []

    def apply_chat_template(self, *_: Any, **__: Any) -> str:
        raise AssertionError("there is none")

    def __call__(self, texts: Sequence[str], **_: Any) -> dict[str, list[list[int]]]:
        return {"input_ids": [[self._number(word) for word in t.split()] for t in texts]}

    def _number(self, word: str) -> int:
        if word not in self.words:
            self.words.append(word)
        return self.words.index(word)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> RepeatingEngine:
    """Stands in for every engine that the jobs open, with a compressor without a model."""
    made = RepeatingEngine()
    monkeypatch.setattr("jobs.replay.session.compressor_of", lambda _: FakeCompressor())
    monkeypatch.setattr("jobs.replay.session.open_engine", lambda *_: made)
    monkeypatch.setattr("jobs.replay.session.load_tokenizer", lambda _: WordTokenizer())
    return made
