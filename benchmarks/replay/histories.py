"""Histories to compress: stretches of the sample logs with needles, and what is asked of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.replay.needles import Needle, needles
from operators.embedding.minilm import MiniLm
from operators.replay.episodes.episode import ReplayEpisode
from operators.replay.episodes.text import message_line
from operators.replay.spec import EpisodeSpec
from schemas.tables import TIMESTAMP

_SAMPLES = Path("samples")
_FOLLOWING = 24


@dataclass(frozen=True)
class Message:
    """A message of a log, or a needle."""

    message_id: str
    speaker: str
    timestamp: datetime
    text: str

    @property
    def line(self) -> str:
        """As a replay reads it."""
        micros = int(self.timestamp.timestamp()) * 1_000_000
        return message_line(self.speaker, micros, self.text)


@dataclass(frozen=True)
class History:
    """A stretch of a log.

    Attributes:
        name: of the log, and the stretch's place in it.
        messages: with the needles among them, at equal distances.
        needles: in the order of their messages.
        questions: about the log, with evidence in the stretch.
        asked_at: when they are asked.
        following: the messages that come next in the log.
    """

    name: str
    messages: tuple[Message, ...]
    needles: tuple[Needle, ...]
    questions: tuple[str, ...]
    asked_at: datetime
    following: tuple[Message, ...]


def log_messages(log: str) -> list[Message]:
    """Messages of a sample log, in order."""
    rows = map(json.loads, (_SAMPLES / "logs" / f"{log}.jsonl").read_text("utf-8").splitlines())
    return [
        Message(
            row["message_id"],
            row["speaker"],
            datetime.fromisoformat(row["timestamp"]).astimezone(UTC),
            row["text"],
        )
        for row in rows
    ]


def histories(
    tokenizer: Any, logs: Sequence[str], which: slice, tokens: int, planted: int
) -> list[History]:
    """Stretches of `tokens` tokens, none of which overlap, with `planted` needles each.

    Args:
        tokenizer: of the model, which counts the tokens.
        logs: names of sample logs.
        which: of each log's stretches, those first that most questions are about.
        tokens: of the log in each stretch; needles come on top.
        planted: needles in each.

    Raises:
        ValueError: a stretch that no question is about has no answers to compare.

    Deterministic.
    """
    found: list[History] = []
    for log in logs:
        messages = log_messages(log)
        cuts = _cuts([len(tokenizer(m.line)["input_ids"]) for m in messages], tokens)
        plain = [_stretch(log, messages, start, end) for start, end in cuts]
        plain.sort(key=lambda history: -len(history.questions))
        found += [_planted(history, planted) for history in plain[which]]
    bare = [history.name for history in found if not history.questions]
    if bare or not found:
        raise ValueError(f"too few stretches with questions about them: {bare or logs}")
    return found


def table(history: History) -> pa.Table:
    """Its messages, with the columns of `messages` that a replay reads."""
    messages = history.messages
    return pa.table(
        {
            "message_id": [m.message_id for m in messages],
            "speaker": [m.speaker for m in messages],
            "timestamp": pa.array([m.timestamp for m in messages], TIMESTAMP),
            "text": [m.text for m in messages],
            "is_current": [True] * len(messages),
        }
    )


def episode(history: History) -> ReplayEpisode:
    """All of it, with the windows nearest to its centre for the patch prompt."""
    spec = EpisodeSpec()
    ids = [m.message_id for m in history.messages]
    windows = [ids[at : at + spec.window] for at in range(0, len(ids), spec.window)]
    said = {m.message_id: m.text for m in history.messages}
    vectors = _embedder().embed(["\n".join(map(said.__getitem__, w)) for w in windows])
    centre = vectors.mean(axis=0)
    centre /= np.linalg.norm(centre)
    nearest = np.sort(np.argsort(-(vectors @ centre), kind="stable")[: spec.patch_windows])
    return ReplayEpisode(
        tenant="",
        conversation_id=history.name,
        episode_id=history.name,
        message_ids=tuple(ids),
        patch_message_ids=tuple(name for window in nearest for name in windows[window]),
        centroid=centre,
    )


def _cuts(lengths: Sequence[int], tokens: int) -> list[tuple[int, int]]:
    """(first message, end) of neighbouring stretches; what is left over follows the last one."""
    cuts: list[tuple[int, int]] = []
    start, held = 0, 0
    for number, length in enumerate(lengths):
        held += length
        if held >= tokens and number + 1 < len(lengths):
            cuts.append((start, number + 1))
            start, held = number + 1, 0
    return cuts


def _stretch(log: str, messages: Sequence[Message], start: int, end: int) -> History:
    inside = {m.message_id for m in messages[start:end]}
    asked = [row for row in _questions() if inside.intersection(row["evidence"])]
    return History(
        name=f"{log}-{start}",
        messages=tuple(messages[start:end]),
        needles=(),
        questions=tuple(row["question"] for row in asked),
        asked_at=messages[-1].timestamp,
        following=tuple(messages[end : end + _FOLLOWING]),
    )


def _planted(history: History, count: int) -> History:
    """With `count` needles in the middle of as many equal parts."""
    plain = history.messages
    added = needles(count, history.name, [m.text for m in plain])
    places = [int((number + 0.5) * len(plain) / max(1, count)) for number in range(count)]
    out: list[Message] = []
    for number, message in enumerate(plain):
        out.append(message)
        for needle, place in zip(added, places, strict=True):
            if place == number:
                name = f"{message.message_id}-needle"
                out.append(Message(name, message.speaker, message.timestamp, needle.statement))
    return replace(history, messages=tuple(out), needles=added)


@cache
def _embedder() -> MiniLm:
    return MiniLm()


@cache
def _questions() -> list[dict[str, Any]]:
    files = sorted(_SAMPLES.glob("questions_*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]
