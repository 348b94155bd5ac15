"""Caches and the engine that answers from them, opened once for many questions."""

import gc
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from jobs.errors import EngineError
from jobs.replay.compressors import Compressor, LocalCompressor, RayCompressors
from jobs.replay.engines import EngineName, choose_engine, load_tokenizer, open_engine
from jobs.replay.kv_rows import KvEpisode
from jobs.replay.refresh import RefreshPlan, plan_refresh, refresh
from jobs.replay.routes import Route
from operators.replay.engines.base import ReplayEngine, ReplayEngineError, ReplayRequest
from operators.replay.episodes.text import question_tokens
from operators.replay.kv_header import KvStoreError
from operators.replay.spec import ReplaySpec
from transforms.warehouse.connection import Warehouse, open_warehouse
from transforms.warehouse.scope import Conversation


@dataclass(frozen=True)
class Replayed:
    """An answer from the raw history.

    Attributes:
        route: the question, and the cache it went to.
        answer: of the model.
        engine: vllm or transformers.
        first_token_ms: until the first token, loading and waiting for others included.
    """

    route: Route
    answer: str
    engine: EngineName
    first_token_ms: float

    def as_json(self) -> dict[str, Any]:
        """For `memoryflow replay --json`."""
        route, cache = self.route, self.route.cache
        named = {"question_id": route.question_id} if route.question_id else {}
        return named | {
            "question": route.question,
            "answer": self.answer,
            "tenant": cache.tenant,
            "conversation_id": cache.conversation_id,
            "kv_episode_id": cache.kv_episode_id,
            "episode_id": cache.episode_id,
            "routed_by": route.by,
            "evidence": list(route.evidence),
            "source_message_ids": route.source_message_ids,
            "source_tokens": cache.token_count,
            "kept_tokens": cache.budget,
            "scorer": cache.scorer,
            "engine": self.engine,
            "first_token_ms": round(self.first_token_ms, 1),
        }


@dataclass(frozen=True)
class Built:
    """What was done to the caches of a conversation.

    Attributes:
        conversation: (tenant, conversation id).
        caches: all it has now.
        made: how many of them were made.
        seconds: it took.
    """

    conversation: Conversation
    caches: tuple[KvEpisode, ...]
    made: int
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """For `memoryflow replay --build-only --json`."""
        return {
            "tenant": self.conversation[0],
            "conversation_id": self.conversation[1],
            "episodes": len(self.caches),
            "made": self.made,
            "source_tokens": sum(cache.token_count for cache in self.caches),
            "kept_tokens": sum(cache.budget for cache in self.caches),
            "bytes": sum(cache.bytes for cache in self.caches),
            "seconds": round(self.seconds, 2),
        }


def compressor_of(spec: ReplaySpec) -> Compressor:
    """In Ray actors if any are asked for, else in this process; loads nothing yet."""
    return RayCompressors(spec) if spec.actors else LocalCompressor(spec)


def bring_up(
    path: Path,
    conversations: Sequence[Conversation],
    spec: ReplaySpec,
    compressor: Compressor,
    *,
    rebuild: bool = False,
    tidy: bool = True,
    note: Callable[[str], None] = lambda _: None,
) -> list[Built]:
    """Make the caches that conversations lack; opened for writing only if there is need.

    Args:
        path: of the warehouse.
        conversations: which.
        spec: how to compress.
        compressor: who does it.
        rebuild: make all again.
        tidy: outdated rows and what killed builds left are need enough. False where questions
            wait: they need neither the lock of another build nor a folder that can be written.
        note: is told what goes on.

    Raises:
        JobError, WarehouseError: see `jobs.replay.refresh.refresh`.
    """
    with own_words():
        with open_warehouse(path, read_only=True) as there:
            plans = [
                plan_refresh(there, conversation, spec, compressor, rebuild=rebuild)
                for conversation in conversations
            ]
        done = all(plan.up_to_date if tidy else plan.complete for plan in plans)
        if done and not rebuild:
            return [Built(plan.conversation, tuple(plan.ready), 0, 0.0) for plan in plans]
        with open_warehouse(path) as opened:
            return [_built(opened, plan, spec, compressor, rebuild, note) for plan in plans]


def _built(
    warehouse: Warehouse,
    plan: RefreshPlan,
    spec: ReplaySpec,
    compressor: Compressor,
    rebuild: bool,
    note: Callable[[str], None],
) -> Built:
    name, missing, made = plan.conversation[1], len(plan.missing), list[KvEpisode]()

    def told(cache: KvEpisode) -> None:
        made.append(cache)
        kept = f"{cache.token_count:,} tokens kept as {cache.budget:,}"
        note(f"conversation {name}: episode {len(made)} of {missing}: {kept}")

    began = time.perf_counter()
    caches = refresh(warehouse, plan.conversation, spec, compressor, rebuild=rebuild, told=told)
    seconds = time.perf_counter() - began if made else 0.0
    return Built(plan.conversation, tuple(caches), len(made), seconds)


class ReplaySession:
    """Answers from the caches of an open warehouse. Close it, or use it as a context.

    The model is loaded with the first question. For one thread.

    Args:
        warehouse: open, for reading at least.
        spec: whose caches, and which engine.
        compressor: as used to build them, with a model that an engine may share; optional.
    """

    def __init__(
        self, warehouse: Warehouse, spec: ReplaySpec, compressor: Compressor | None = None
    ) -> None:
        self._warehouse = warehouse
        self._spec = spec
        self._compressor = compressor or compressor_of(spec)
        self._plans: dict[Conversation, RefreshPlan] = {}
        self._engine: tuple[EngineName, ReplayEngine] | None = None

    def plan(self, conversation: Conversation) -> RefreshPlan:
        """What there is of a conversation; found out once, until `forget`.

        Raises:
            EngineError: there is no such model.
        """
        if conversation not in self._plans:
            with own_words():
                plan = plan_refresh(self._warehouse, conversation, self._spec, self._compressor)
            self._plans[conversation] = plan
        return self._plans[conversation]

    def forget(self) -> None:
        """See what was committed since."""
        self._plans.clear()

    def caches(self, conversation: Conversation) -> list[KvEpisode]:
        """The caches of a conversation.

        Raises:
            EngineError: it lacks some, or has no messages to make any of.
        """
        plan = self.plan(conversation)
        if not plan.complete:
            raise EngineError(plan.reason())
        if not plan.ready:
            raise EngineError(f"conversation {conversation[1]!r} has no messages to answer from")
        return plan.ready

    def answer(self, routes: Sequence[Route]) -> list[Replayed]:
        """Answers in order, all together: questions to one cache next to each other.

        Raises:
            EngineError: the engine cannot be started, or a file is not what was recorded.
        """
        if not routes:
            return []
        order = sorted(range(len(routes)), key=lambda number: routes[number].cache.kv_episode_id)
        with own_words():
            name, engine = self._opened(routes)
            answers = engine.answer([self._request(routes[number]) for number in order])
        found = dict(zip(order, answers, strict=True))
        return [
            Replayed(route, found[number].text.strip(), name, found[number].first_token_ms)
            for number, route in enumerate(routes)
        ]

    def close(self) -> None:
        """End the engine; the warehouse stays open."""
        if self._engine is not None:
            self._engine[1].close()
            self._engine = None
            gc.collect()  # vLLM's client complains if the interpreter ends before it is gone.

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _opened(self, routes: Sequence[Route]) -> tuple[EngineName, ReplayEngine]:
        if self._engine is None:
            files = {self._warehouse.path / route.cache.path for route in routes}
            name = choose_engine(self._spec, sorted(files), len(routes))
            local = isinstance(self._compressor, LocalCompressor) and name == "transformers"
            model = self._compressor.model if local else None  # pyright: ignore
            self._engine = name, open_engine(self._spec, name, model)
        return self._engine

    def _request(self, route: Route) -> ReplayRequest:
        tokens = question_tokens(route.question, route.asked_at, self._tokenizer)
        cache = route.cache.stored(self._warehouse.path)
        return ReplayRequest(tokens, cache, self._spec.max_answer_tokens)

    @cached_property
    def _tokenizer(self) -> Any:
        return load_tokenizer(self._spec)


@contextmanager
def own_words() -> Generator[None]:
    """Errors of engine and store as errors of a job."""
    try:
        yield
    except (ReplayEngineError, KvStoreError) as error:
        raise EngineError(str(error)) from error
