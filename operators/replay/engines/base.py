"""The interface of engines that answer from stored caches."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class ReplayEngineError(RuntimeError):
    """An engine cannot be started, or cannot use a cache; the message says what to do."""


@dataclass(frozen=True)
class StoredKv:
    """A cache in the store.

    Attributes:
        kv_episode_id: its id: different ids never share anything in an engine.
        path: the tensor file.
        checksum: as recorded; a file with another one is refused.
        length: position of the first token after the cache.
    """

    kv_episode_id: str
    path: Path
    checksum: str
    length: int


@dataclass(frozen=True)
class ReplayRequest:
    """Tokens to go on from.

    Attributes:
        tokens: of the question and what follows it, up to the answer; of the whole prompt
            where `cache` is None.
        cache: what stands before `tokens`.
        max_tokens: longest answer.
    """

    tokens: tuple[int, ...]
    cache: StoredKv | None
    max_tokens: int


@dataclass(frozen=True)
class ReplayAnswer:
    """A greedy answer.

    Attributes:
        tokens: generated, without the end token.
        text: of them.
        first_token_ms: time from the request to the first token, the cache's loading included.
    """

    tokens: tuple[int, ...]
    text: str
    first_token_ms: float


class ReplayEngine(Protocol):
    """Answers requests greedily; the same tokens, whichever engine, up to rounding."""

    @property
    def fingerprint(self) -> str:
        """Of model, tokenizer and weights: caches of another one are refused by their owner."""
        ...

    def answer(self, requests: Sequence[ReplayRequest]) -> list[ReplayAnswer]:
        """Answers in order; all requests at once, with one cache or several or none.

        Raises:
            ReplayEngineError: a cache cannot be used by this engine.
            KvStoreError: a tensor file is missing or not what was recorded.
        """
        ...

    def close(self) -> None:
        """Free the model; may be called twice."""
        ...
