"""Windows: a few neighbouring messages of a session, the unit that is clustered."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from operators.base import Vectors
from operators.embedding.model_id import DIMENSION
from operators.frames import MESSAGE_ORDER, SCOPE, groups, values
from operators.replay.episodes.text import message_line
from operators.vectors import matrix, text_hash

_DIGITS = 5


@dataclass(frozen=True)
class Window:
    """Neighbouring messages of one session.

    Attributes:
        session_id: of the session.
        message_ids: in event order.
        versions: content hash of each message, in the same order.
        rows: place of each message in the conversation's order.
        chars: length of the messages as lines of text.
        vector: (384,), float32, unit length, or zeros where no fact of the conversation has
            a vector.
    """

    session_id: str
    message_ids: tuple[str, ...]
    versions: tuple[str, ...]
    rows: tuple[int, ...]
    chars: int
    vector: Vectors


def windows_of(
    messages: pa.Table, facts: pa.Table, embeddings: pa.Table, size: int
) -> list[list[Window]]:
    """The windows of one conversation's current messages, by session.

    Sessions come in the order of their first messages. A session is cut from its start, so
    what is added at its end changes its last window alone. The vector of a window is the
    mean of the recorded vectors of the facts that rest on its messages, whatever their
    status, since that changes later. A window without one takes that of the window before
    it, the first ones of a session that of the window after, and a session without any
    that of the window before the session (at the conversation's start: after).

    Raises `ValueError` for vectors of two models.
    """
    stated = _FactVectors(facts, embeddings)
    current = messages.filter(messages.column("is_current"))
    order = [row for rows in groups(current, SCOPE, MESSAGE_ORDER).values() for row in rows]
    table = current.take(order)
    sessions: dict[str, list[int]] = {}
    for row, session in enumerate(values(table, "session_id")):
        sessions.setdefault(session or "", []).append(row)
    names = ("message_id", "content_hash", "speaker", "timestamp", "text")
    columns = {name: values(table, name) for name in names}

    def window(session: str, rows: Sequence[int]) -> Window:
        ids, versions, *lines = ([columns[name][row] for row in rows] for name in names)
        chars = sum(len(message_line(*line)) for line in zip(*lines, strict=True))
        return Window(session, tuple(ids), tuple(versions), tuple(rows), chars, stated.mean(ids))

    cut = [
        _filled([window(name, rows[at : at + size]) for at in range(0, len(rows), size)])
        for name, rows in sessions.items()
    ]
    flat = iter(_filled([window for session in cut for window in session]))
    return [[next(flat) for _ in session] for session in cut]


def unit(vector: Vectors) -> Vectors:
    """The vector at unit length, float32, rounded so that sums in another order agree."""
    norm = float(np.sqrt(np.sum(np.square(vector, dtype=np.float64))))
    scaled = np.asarray(vector, np.float64) / (norm or 1.0)
    return (np.round(scaled, _DIGITS) + 0.0).astype(np.float32)


class _FactVectors:
    """The recorded vectors of the facts that rest on each message."""

    def __init__(self, facts: pa.Table, embeddings: pa.Table) -> None:
        hashes = values(embeddings, "text_hash")
        row_of = {key: row for row, key in enumerate(hashes)}
        if len(row_of) != len(hashes):
            raise ValueError("vectors of two models for one text; give those of one model")
        self._vectors = matrix(embeddings.column("vector"))
        self._stated: dict[str, set[tuple[str, int]]] = {}
        names = ("fact_id", "text", "source_message_ids")
        for fact, text, sources in zip(*(values(facts, n) for n in names), strict=True):
            row = row_of.get(text_hash(text))
            if row is None:
                continue
            for source in sources:
                self._stated.setdefault(source, set()).add((fact, row))

    def mean(self, message_ids: Sequence[str]) -> Vectors:
        """At unit length; zeros where no fact with a vector rests on the messages."""
        facts = {fact for name in message_ids for fact in self._stated.get(name, ())}
        if not facts:
            return np.zeros(self._vectors.shape[1] or DIMENSION, np.float32)
        rows = [row for _, row in sorted(facts)]  # Float sums depend on their order.
        return unit(self._vectors[rows].astype(np.float64).sum(axis=0))


def _filled(windows: Sequence[Window]) -> list[Window]:
    """Windows without a vector with their neighbour's: the one before, else the one after."""
    known = [window.vector for window in windows if window.vector.any()]
    if not known:
        return list(windows)
    out, last = list[Window](), known[0]
    for window in windows:
        last = window.vector if window.vector.any() else last
        out.append(replace(window, vector=last))
    return out
