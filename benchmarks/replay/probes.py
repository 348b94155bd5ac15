"""What a cache is asked: tokens that follow the history, and where the answer stands in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from benchmarks.replay.histories import History, episode, table
from operators.replay.compressed import CompressedKv
from operators.replay.engines.transformers_engine import generate
from operators.replay.episodes.text import EpisodeTokens, episode_tokens, question_tokens
from operators.replay.model import ReplayModel

Kind = Literal["answer", "needle", "following"]
_ANSWER_TOKENS = 24
_FOLLOWING_TOKENS = 96


@dataclass(frozen=True)
class Probe:
    """Tokens after the history.

    Attributes:
        kind: "answer": a question and what the full cache answers to it; "needle": a question
            and a needle's word; "following": the log goes on.
        tokens: all of them.
        scored: how many of the last ones are predicted and compared.
        rivals: of a needle: the first tokens of all needles' words, its own first.
    """

    kind: Kind
    tokens: tuple[int, ...]
    scored: int
    rivals: tuple[int, ...] = ()


@dataclass(frozen=True)
class Asked:
    """A history as tokens, and its probes."""

    tokens: EpisodeTokens
    probes: tuple[Probe, ...]


def history_tokens(history: History, model: ReplayModel) -> EpisodeTokens:
    """As memoryflow's own replay reads it."""
    return episode_tokens(episode(history), table(history), model.tokenizer)


def probes(history: History, model: ReplayModel, full: CompressedKv) -> tuple[Probe, ...]:
    """Everything that is asked of the caches of a history; `full` is the whole cache."""
    return (
        *_answers(history, model, full),
        *_needles(history, model.tokenizer),
        _following(history, model.tokenizer),
    )


def _answers(history: History, model: ReplayModel, full: CompressedKv) -> list[Probe]:
    found: list[Probe] = []
    for question in history.questions:
        asked = question_tokens(question, history.asked_at, model.tokenizer)
        answer = generate(model, full, asked, _ANSWER_TOKENS).tokens
        if answer:
            found.append(Probe("answer", (*asked, *answer), len(answer)))
    return found


def _needles(history: History, tokenizer: Any) -> list[Probe]:
    words = [_encoded(f" {needle.word}", tokenizer) for needle in history.needles]
    first = [word[0] for word in words]
    if len(set(first)) < len(first):
        raise ValueError("two needles' words begin with the same token: they cannot be told apart")
    found: list[Probe] = []
    for needle, word in zip(history.needles, words, strict=True):
        asked = question_tokens(needle.question, history.asked_at, tokenizer)
        beginning = _encoded(needle.beginning, tokenizer)
        others = [token for token in first if token != word[0]]
        found.append(Probe("needle", (*asked, *beginning, *word), len(word), (word[0], *others)))
    return found


def _following(history: History, tokenizer: Any) -> Probe:
    text = "".join(message.line for message in history.following)
    tokens = _encoded(text, tokenizer)[:_FOLLOWING_TOKENS]
    return Probe("following", tuple(tokens), len(tokens) - 1)


def _encoded(text: str, tokenizer: Any) -> Sequence[int]:
    return tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
