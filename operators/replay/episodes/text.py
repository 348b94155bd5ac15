"""Episodes and questions as tokens.

The prompt is `prefix` + question tokens: the chat template's head, the messages, then the
question and the template's tail. Each piece is tokenised apart, so that a prefix can be
cached and any question follow it. Text of the log or of a question never becomes a special
token, whatever it spells.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

import pyarrow as pa

from operators.extract.calendar_rules import write_day
from operators.frames import values
from operators.replay.episodes.chat_frame import Tokenizer, chat_frame
from operators.replay.episodes.episode import ReplayEpisode
from operators.replay.episodes.wording import read_wording

_WORDING = read_wording("replay_history")

PROMPT_ID = _WORDING.identity
"""`name@version:hash` of the words around the messages; part of the ids of caches."""

PATCH_TOKENS = 256
"""Longest patch prompt: it shares a block with the messages that are prefilled."""


@dataclass(frozen=True)
class EpisodeTokens:
    """An episode as a model reads it.

    Attributes:
        prefix: what is cached: the template's head, instructions, a line per message.
        patch: the patch prompt, run after each block and not kept.
        spans: first token and end (exclusive) in `prefix` of each message.
    """

    prefix: tuple[int, ...]
    patch: tuple[int, ...]
    spans: Mapping[str, tuple[int, int]]


def message_line(speaker: str, micros: int, text: str) -> str:
    """A message as a line: `[7 May 2023 13:56] Caroline: text` and a newline; UTC."""
    moment = datetime.fromtimestamp(micros // 1_000_000, tz=UTC)
    return f"[{_stamp(moment)}] {speaker}: {text}\n"


def _current(messages: pa.Table) -> dict[str, tuple[str, int, str]]:
    """Speaker, time and text of each current message of one conversation, by message id."""
    current = messages.filter(messages.column("is_current"))
    columns = [values(current, name) for name in ("message_id", "speaker", "timestamp", "text")]
    return {name: (who, at, text) for name, who, at, text in zip(*columns, strict=True)}


def episode_tokens(
    episode: ReplayEpisode,
    messages: pa.Table,
    tokenizer: Tokenizer,
    patch_tokens: int = PATCH_TOKENS,
) -> EpisodeTokens:
    """The episode's tokens.

    Args:
        episode: what to read.
        messages: the table `messages` of its conversation, in any order.
        tokenizer: of the model; with or without a chat template.
        patch_tokens: longest patch prompt. Its longest lines are cut at their ends until
            it fits; half a block is a good choice.

    Raises:
        KeyError: a message of the episode is not among the current ones.
        ValueError: the chat template cannot be used, or `patch_tokens` is too few.
    """
    said = _current(messages)
    head, _ = chat_frame(tokenizer, _WORDING.system)
    prefix = _tokens([head], tokenizer, special=True)[0]
    prefix += _tokens([f"{_WORDING.history}\n"], tokenizer)[0]
    spans: dict[str, tuple[int, int]] = {}
    pieces = _tokens([message_line(*said[name]) for name in episode.message_ids], tokenizer)
    for name, piece in zip(episode.message_ids, pieces, strict=True):
        spans[name] = (len(prefix), len(prefix) + len(piece))
        prefix += piece
    # Without their times, which would fill the patch prompt with the same few words.
    lines = [f"{who}: {text}" for who, _, text in (said[n] for n in episode.patch_message_ids)]
    patch = _patch(lines, tokenizer, patch_tokens)
    return EpisodeTokens(tuple(prefix), patch, spans)


def question_tokens(
    question: str, asked_at: datetime | None, tokenizer: Tokenizer
) -> tuple[int, ...]:
    """What follows `prefix`: the question, the day it is asked, the template's tail."""
    _, tail = chat_frame(tokenizer, _WORDING.system)
    asked = "" if asked_at is None else f" It is asked on {_stamp(asked_at.astimezone(UTC))}."
    text = f"\n{_WORDING.question}{asked}\nQuestion: {question.strip()}"
    return (*_tokens([text], tokenizer)[0], *_tokens([tail], tokenizer, special=True)[0])


def _patch(lines: Sequence[str], tokenizer: Tokenizer, limit: int) -> tuple[int, ...]:
    texts = [f"\n{_WORDING.patch}\n", "\n", *lines]
    instruction, newline, *pieces = _tokens(texts, tokenizer)
    room = limit - len(instruction) - len(newline) * len(pieces)
    if room < 0:
        raise ValueError(
            f"a patch prompt of {limit} tokens cannot hold its instruction and {len(pieces)} "
            f"messages; it needs {limit - room} at least: take a larger block"
        )
    longest = _longest([len(piece) for piece in pieces], room)
    said = (token for piece in pieces for token in (*piece[:longest], *newline))
    return (*instruction, *said)


def _longest(lengths: Sequence[int], room: int) -> int:
    """The greatest length to which all are cut so that together they fit."""
    lower, upper = 0, max(lengths, default=0)
    while lower < upper:
        middle = (lower + upper + 1) // 2
        if sum(min(length, middle) for length in lengths) <= room:
            lower = middle
        else:
            upper = middle - 1
    return lower


def _tokens(
    texts: Sequence[str], tokenizer: Tokenizer, *, special: bool = False
) -> list[list[int]]:
    """Tokens of each text; what spells a special token becomes one only if `special`."""
    if not texts:
        return []
    encoded = tokenizer(list(texts), add_special_tokens=False, split_special_tokens=not special)
    return cast("list[list[int]]", encoded["input_ids"])


def _stamp(moment: datetime) -> str:
    return f"{write_day(moment.date())} {moment:%H:%M}"
