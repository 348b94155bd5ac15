"""Facts of a conversation cut into chunks that one question each is asked about."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from operators.personas.claims import Column
from operators.personas.people import is_human, person_key, person_name
from operators.personas.telling import telling

_LEAST = 4  # statements of a session that are sent whatever the share, if so many tell anything


@dataclass
class Chunk:
    """Facts of consecutive sessions, and which of them are sent.

    Attributes:
        rows: rows of all its facts, in event order within each session.
        sent: (row, words sent) of each numbered line.
    """

    rows: list[int] = field(default_factory=list[int])
    sent: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])

    @property
    def text(self) -> str:
        """The numbered lines."""
        return "\n".join(f"[{n}] {words}" for n, (_, words) in enumerate(self.sent, start=1))


def chunks(rows: Sequence[int], column: Column, share: float, statements: int) -> list[Chunk]:
    """Chunks of one conversation; `rows` in event order.

    A chunk ends with the session in which it holds `statements` lines, or at once at twice as
    many. So where it ends depends on earlier sessions only, and a session that is appended
    changes the last chunk alone. Of each session at most `share` of its facts is sent.
    """
    sessions: dict[str, list[int]] = {}
    for row in rows:
        sessions.setdefault(column["session_id"][row], []).append(row)
    out = [Chunk()]
    for members in sessions.values():
        chosen = _chosen(members, column, share)
        for row in members:
            out[-1].rows.append(row)
            if row in chosen:
                out[-1].sent.append((row, chosen[row]))
                if len(out[-1].sent) == 2 * statements:
                    out.append(Chunk())
        if len(out[-1].sent) >= statements:
            out.append(Chunk())
    return [chunk for chunk in out if chunk.rows]


def _chosen(members: Sequence[int], column: Column, share: float) -> dict[int, str]:
    """The most telling statements of a session, with the words to be sent."""
    ranked: list[tuple[int, float, int, str]] = []
    for place, row in enumerate(members):
        if not _new(row, column):
            continue
        words, score = telling(column["text"][row], person_name(column["speaker"][row]))
        if words:
            ranked.append((-score, -column["importance"][row], place, words))
    most = max(_LEAST, math.ceil(share * len(members)))
    return {members[place]: words for _, _, place, words in sorted(ranked)[:most]}


def _new(row: int, column: Column) -> bool:
    """Whether a person said it, for the first time, and no model has read it already."""
    person = is_human(column["speaker"][row], column["role"][row])
    return person and column["status"][row] != "duplicate" and not read_by_model(row, column)


def read_by_model(row: int, column: Column) -> bool:
    """Whether a model has given the fact an attribute of its speaker already."""
    speaker = person_key(person_name(column["speaker"][row]))
    told = bool(column["attribute"][row]) and person_key(column["subject"][row] or "") == speaker
    return told and column["extractor"][row] == "llm_facts"
