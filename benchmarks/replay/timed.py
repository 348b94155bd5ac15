"""First-token times of one engine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.replay.long_history import LongHistory
from operators.replay.engines.base import ReplayEngine, ReplayRequest, StoredKv

_ONCE_FROM = 4096
_STEP = 997
"""Tokens between the starts of two prompts, so that they share no beginning."""


@dataclass(frozen=True)
class Timed:
    """Milliseconds to the first token after a history of `tokens` tokens."""

    engine: str
    tokens: int
    full: float
    injected: float
    next_question: float


def timed(
    name: str,
    engine: ReplayEngine,
    history: LongHistory,
    caches: Mapping[int, Sequence[StoredKv]],
    questions: Sequence[Sequence[int]],
) -> list[Timed]:
    """A row per size. `caches` are copies of one cache, of which no engine knows any."""
    asking, other = (tuple(question) for question in questions)
    _first(engine, (*history.tokens(64), *asking), None)  # warm
    rows: list[Timed] = []
    start = 0
    for size, copies in caches.items():
        full: list[float] = []
        for _ in copies[:1] if size >= _ONCE_FROM else copies:
            start += _STEP
            full.append(_first(engine, (*history.tokens(size, start), *asking), None))
        injected = [_first(engine, asking, copy) for copy in copies]
        again = [_first(engine, other, copy) for copy in copies[-1:]]
        rows.append(Timed(name, size, median(full), median(injected), median(again)))
        print(f"{name}: {rows[-1]}", flush=True)
    return rows


def _first(engine: ReplayEngine, tokens: tuple[int, ...], cache: StoredKv | None) -> float:
    return engine.answer([ReplayRequest(tokens, cache, 1)])[0].first_token_ms
