"""A searchable index over one conversation, or several, built from the memory tables."""

from collections import ChainMap
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from types import MappingProxyType
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from operators.base import Tables, Vectors
from operators.recall.apart import Apart, SpeakerApart
from operators.recall.bm25 import Bm25, Floats, Ints, TermCounts, scaled
from operators.recall.dense import DenseIndex
from operators.recall.entity import EntityMentions
from operators.recall.levels import Levels
from operators.recall.neighbours import following, previous, session_best, session_mean
from operators.recall.question import Asked, Question, read_question
from operators.recall.shape import length_prior, newness, question_share
from operators.recall.speaker import SpeakerIndex
from operators.recall.terms import terms
from operators.recall.time_channel import TimeIndex
from operators.vectors import matrix, text_hash

SEARCHED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "messages": (
            "tenant",
            "conversation_id",
            "message_id",
            "is_current",
            "speaker",
            "role",
            "timestamp",
            "seq",
            "text",
            "session_id",
        ),
        "facts": (
            "tenant",
            "conversation_id",
            "fact_id",
            "message_id",
            "source_message_ids",
            "ordinal",
            "text",
            "event_time",
            "occurred_start",
            "occurred_end",
            "status",
            "canonical_id",
            "valid_to",
        ),
        "embeddings": ("text_hash", "vector"),
        "entities": (
            "entity_id",
            "name",
            "kind",
            "aliases",
        ),
        "mentions": (
            "tenant",
            "conversation_id",
            "message_id",
            "entity_id",
        ),
        "links": ("type", "source_id", "target_id", "score"),
        "episodes": ("tenant", "conversation_id", "session_id", "keywords", "source_message_ids"),
        "scenes": ("scene_id", "title", "summary", "keywords"),
        "scene_members": ("scene_id", "memory_id", "weight", "status"),
        "personas": (
            "persona_id",
            "person",
            "kind",
            "attribute",
            "value",
            "confidence",
            "evidence",
        ),
        "memtree_nodes": ("tree_id", "node_id", "level", "is_root", "child_ids", "fact_ids"),
    }
)
"""Tables and columns that search reads."""

_ORDER = ("tenant", "conversation_id", "timestamp", "seq", "message_id")
_MessageKey = tuple[str, str, str]  # tenant, conversation, message


class ConversationIndex:
    """Messages in event order, with every channel's index over them.

    A pure function of the rows given, in whatever order they come. Facts whose vector is
    missing are left out of the dense channel and searched by their words alone.

    Args:
        tables: the tables of `SEARCHED`, at least with these columns, of the same
            conversations: current messages only count, embeddings are of one model.
    """

    def __init__(self, tables: Tables):
        messages, facts = tables["messages"], tables["facts"]
        messages = messages.filter(messages["is_current"])
        messages = messages.sort_by([(c, "ascending") for c in _ORDER])
        self.messages: list[dict[str, Any]] = messages.to_pylist()
        self.number: dict[_MessageKey, int] = {
            message_key(m): i for i, m in enumerate(self.messages)
        }
        kept = [f for f in facts.to_pylist() if message_key(f) in self.number]
        kept.sort(key=lambda f: (self.number[message_key(f)], f["ordinal"], f["fact_id"]))
        self.facts: list[dict[str, Any]] = kept
        self.fact_message: Ints = np.array([self.number[message_key(f)] for f in kept], np.int64)
        self._build(_vectors(tables["embeddings"]))
        found = [
            (m["entity_id"], self.number.get(message_key(m)))
            for m in tables["mentions"].to_pylist()
        ]
        self._entities = EntityMentions(
            tables["entities"].to_pylist(),
            ((e, n) for e, n in found if n is not None),
            self.session,
        )
        self._tables = tables

    def _build(self, vectors: dict[str, Vectors]) -> None:
        texts = [m["text"] for m in self.messages]
        count = len(texts)
        self.mean_length = float(np.mean([len(t) for t in texts])) if texts else 0.0
        self.session = _session_numbers(self.messages)
        self.speakers = SpeakerIndex(
            [m["speaker"] for m in self.messages], [m["role"] for m in self.messages]
        )
        self.names = {t for name in self.speakers.names.values() for t in name}
        self.counts = TermCounts.of([terms(t) for t in texts])
        self.word = Bm25(self.counts)
        self._word_1 = Bm25(self.counts.windows(1, self.session))
        self._word_2 = Bm25(self.counts.windows(2, self.session))
        self._word_session = Bm25(self.counts.groups(self.session))
        self._fact_word = Bm25(TermCounts.of([terms(f["text"]) for f in self.facts]))
        found = [vectors.get(text_hash(f["text"])) for f in self.facts]
        self.embedded = np.array([i for i, v in enumerate(found) if v is not None], np.int64)
        stacked = [v for v in found if v is not None]
        self.vectors = np.stack(stacked) if stacked else np.zeros((0, 0), np.float32)
        self.vector_message = self.fact_message[self.embedded]
        self._dense = DenseIndex(self.vectors, self.vector_message, count)
        self.apart = Apart(self.vectors)
        speaker = self.speakers.number[self.vector_message]
        self._said = SpeakerApart(self.vectors, speaker, len(self.speakers.all))
        self._length = length_prior(texts)
        self._asks = question_share(texts)
        self._new = newness(self.vectors, self.vector_message, self.session)
        self._time = TimeIndex(texts, self.messages, self.facts, self.fact_message)

    @cached_property
    def levels(self) -> Levels:
        """What lies above the facts, indexed when first asked for."""
        return Levels(self, self._tables)

    def read(self, question: Question) -> Asked:
        """The question as the channels read it."""
        cosines = np.full(len(self.facts), np.nan)
        nearness = cosines.copy()
        rest = self.apart.rest(question.vector)
        if self.embedded.size:
            cosines[self.embedded] = self._dense.cosines(question.vector)
            nearness[self.embedded] = self.apart.cosines(rest)
        return read_question(question, self.names, cosines, rest, nearness)

    def features(self, asked: Asked, channels: Collection[str]) -> dict[str, Floats]:
        """Features per message of the channels that need no other's scores."""
        return {
            **self._of_words(asked),
            **self._of_messages(asked),
            **self.levels.features(asked, channels),
        }

    def _of_words(self, asked: Asked) -> dict[str, Floats]:
        session, query = self.session, asked.terms
        word, word_1 = scaled(self.word.scores(query)), scaled(self._word_1.scores(query))
        before, after = previous(word, session), following(word, session)
        return {
            "word": word,
            "fact_word": self._best_of_facts(scaled(self._fact_word.scores(query))),
            "word_1": word_1,
            "word_2": scaled(self._word_2.scores(query)),
            "word_session": scaled(self._word_session.scores(query))[session],
            "word_before": before,
            "word_after": after,
            "word_before_2": previous(before, session),
            "word_after_2": following(after, session),
            "after_question": previous(self._asks * word_1, session),
        }

    def _of_messages(self, asked: Asked) -> dict[str, Floats]:
        session, question = self.session, asked.question
        best, mean = self._dense.best_and_mean(asked.cosines[self.embedded])
        apart, mean_apart = self._dense.best_and_mean(asked.nearness[self.embedded])
        named = self.speakers.numbers(asked.words)
        said = self._said.cosines(question.vector, named) if self.embedded.size else np.zeros(0)
        best_said, mean_said = self._dense.best_and_mean(said)
        before, after = previous(best, session), following(best, session)
        mentioned, in_session = self._entities.scores(self._entities.named(asked.words))
        return {
            "best_fact": best,
            "mean_fact": mean,
            "best_apart": apart,
            "mean_apart": mean_apart,
            "best_said": best_said,
            "mean_said": mean_said,
            "dense_before": before,
            "dense_after": after,
            "dense_before_2": previous(before, session),
            "dense_after_2": following(after, session),
            "dense_session": session_mean(mean, session),
            "session_best": session_best(best, session),
            "entity": scaled(mentioned),
            "entity_session": scaled(in_session),
            "named": self.speakers.named(asked.words),
            "first_person": self.speakers.first_person(asked.words),
            "tells_when": self._time.tells(question.text),
            "date": self._time.overlaps(question.text, question.asked_at),
            "length": self._length,
            "asks": self._asks,
            "new_1": self._new[0],
            "new_2": self._new[1],
        }

    def best_of_facts(self, cosines: Floats) -> tuple[Floats, Floats]:
        """Per message, the best and the mean of its facts' cosines, standardised."""
        return self._dense.best_and_mean(cosines)

    def _best_of_facts(self, scores: Floats) -> Floats:
        out = np.zeros(len(self.messages))
        np.maximum.at(out, self.fact_message, scores)
        return out


def message_key(row: dict[str, Any]) -> _MessageKey:
    """The message that a row of `messages`, `facts` or `mentions` is about."""
    return row["tenant"], row["conversation_id"], row["message_id"]


def said_until(tables: Tables, as_of: datetime) -> Tables:
    """The tables without messages and facts of a later event time than `as_of`."""
    known = {
        "messages": _until(tables["messages"], "timestamp", as_of),
        "facts": _until(tables["facts"], "event_time", as_of),
    }
    # Not `{**tables}`, which would read tables that nobody asks for.
    return ChainMap(known, cast("dict[str, pa.Table]", tables))


def _until(table: pa.Table, column: str, as_of: datetime) -> pa.Table:
    limit = pa.scalar(as_of, table.schema.field(column).type)
    return table.filter(pc.less_equal(table[column], limit))


def _session_numbers(messages: Sequence[dict[str, Any]]) -> Ints:
    """0, 1, 2, ... by session, in order of first message; ids are unique per conversation."""
    numbers: dict[tuple[str, str, str | None], int] = {}
    keys = [(m["tenant"], m["conversation_id"], m["session_id"]) for m in messages]
    return np.array([numbers.setdefault(k, len(numbers)) for k in keys], np.int64)


def _vectors(embeddings: pa.Table) -> dict[str, Vectors]:
    if not embeddings.num_rows:
        return {}
    hashes = cast("list[str]", embeddings["text_hash"].to_pylist())
    return dict(zip(hashes, matrix(embeddings["vector"]), strict=True))
