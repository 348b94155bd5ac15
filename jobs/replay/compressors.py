"""Who turns episodes into tensor files: this process, or Ray actors."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from jobs.errors import EngineError, UsageError
from operators.replay.engines.base import ReplayEngineError
from operators.replay.episodes.episode import ReplayEpisode
from operators.replay.kv_header import KvStoreError
from operators.replay.spec import ReplaySpec
from operators.replay.weights import model_folder, weights_fingerprint

if TYPE_CHECKING:
    from operators.replay.method import Method
    from operators.replay.model import ReplayModel
    from operators.replay.store import StoredFile


@dataclass(frozen=True)
class Task:
    """An episode to compress.

    Attributes:
        kv_episode_id: of the cache: what its file's name begins with.
        episode: what to compress.
        messages: rows of `messages`: those of the episode, at least.
        folder: where the file goes; on a cluster, one that all nodes share.
    """

    kv_episode_id: str
    episode: ReplayEpisode
    messages: pa.Table
    folder: Path


@dataclass(frozen=True)
class Made:
    """A cache on disk.

    Attributes:
        task: what was asked.
        file: with it.
        budget: tokens kept per layer and head, on average over layers.
        length: position of the first token after it.
        token_count: tokens before compression.
    """

    task: Task
    file: "StoredFile"
    budget: int
    length: int
    token_count: int


class Compressor(Protocol):
    """Compresses episodes as one `ReplaySpec` says. Nothing is loaded before it is needed."""

    @property
    def fingerprint(self) -> str:
        """Of model, tokenizer and weights; loads no weights."""
        ...

    @property
    def versions(self) -> tuple[str, ...]:
        """`name@version` of all parts that decide the tensors, the scorer first."""
        ...

    def compress(self, tasks: Sequence[Task]) -> Generator[Made]:
        """Each cache as it is done, in any order; its file is on disk by then.

        Closing the generator ends the work; it may leave files that nobody was told of.

        Raises:
            EngineError, ReplayEngineError: the model cannot be loaded or used.
            KvStoreError: a file cannot be written.
            UsageError: the block is too short for a patch prompt.
        """
        ...


class LocalCompressor:
    """Compresses in this process, one episode after the other.

    `model`: one that is loaded already; otherwise it is when the first episode comes.
    """

    def __init__(self, spec: ReplaySpec, model: "ReplayModel | None" = None) -> None:
        self._spec = spec
        self._given = model

    @property
    def fingerprint(self) -> str:
        """Of model, tokenizer and weights."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        if self._given is not None:
            return self._given.fingerprint
        return weights_fingerprint(model_folder(self._spec.model))

    @property
    def versions(self) -> tuple[str, ...]:
        """Of the parts of the method."""
        from operators.replay.method_parts import part_versions  # noqa: PLC0415 - torch

        return part_versions(self._spec)

    @cached_property
    def model(self) -> "ReplayModel":
        """Loaded when it is first asked for; on the GPU where there is one."""
        if self._given is not None:
            return self._given
        import torch  # noqa: PLC0415 - seconds

        from operators.replay.model import ReplayModel  # noqa: PLC0415 - torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
        return ReplayModel.load(self._spec.model, self._spec.dtype, device)

    @cached_property
    def _method(self) -> "Method":
        from operators.replay.method_parts import method_of  # noqa: PLC0415 - torch

        return method_of(self._spec, self.model)

    def compress(self, tasks: Sequence[Task]) -> Generator[Made]:
        """Each cache as it is done, in order."""
        for task in tasks:
            yield self.make(task)

    def make(self, task: Task) -> Made:
        """One cache; the cost is the prefill of the episode."""
        from operators.replay.episodes.text import (  # noqa: PLC0415 - with the tokenizer
            PATCH_TOKENS,
            episode_tokens,
        )
        from operators.replay.prefill import compress  # noqa: PLC0415 - torch
        from operators.replay.store import save_kv  # noqa: PLC0415 - torch

        patched = self._method.scorer.queries == "patch"
        longest = min(PATCH_TOKENS, self._spec.block // 2) if patched else PATCH_TOKENS
        try:
            tokens = episode_tokens(task.episode, task.messages, self.model.tokenizer, longest)
        except ValueError as error:
            raise UsageError(f"replay: {error}") from error
        budget = self._spec.budget(len(tokens.prefix))
        try:
            kv = compress(self.model, tokens.prefix, tokens.patch, budget, self._method)
        except ValueError as error:  # numbers that overflowed
            raise ReplayEngineError(
                f"replay: {task.kv_episode_id}: {error}; `dtype: float32` holds the most"
            ) from error
        file = save_kv(
            task.folder,
            task.kv_episode_id,
            kv,
            self._spec.precision,
            model=self.fingerprint,
        )
        return Made(task, file, budget, kv.length, len(tokens.prefix))


class _CompressorActor:
    """Ray actor body: a model, and what it compresses."""

    def __init__(self, spec: ReplaySpec) -> None:
        self._compressor = LocalCompressor(spec)

    def make(self, task: Task) -> Made:
        return self._compressor.make(task)


class RayCompressors:
    """Compresses in `spec.actors` Ray actors with `spec.gpus` each.

    Needs a Ray that this process is connected to (`jobs.batch.ray_session`). An actor that dies
    is started again and repeats its episode; the actors end with the iterator.
    """

    def __init__(self, spec: ReplaySpec) -> None:
        self._spec = spec
        self._local = LocalCompressor(spec)

    @property
    def fingerprint(self) -> str:
        """Of model, tokenizer and weights, as this machine has them."""
        return self._local.fingerprint

    @property
    def versions(self) -> tuple[str, ...]:
        """Of the parts of the method."""
        return self._local.versions

    def compress(self, tasks: Sequence[Task]) -> Generator[Made]:
        """Each cache as it is done; the longest episodes are begun first."""
        import ray  # noqa: PLC0415 - only where actors are asked for

        waiting = sorted(tasks, key=lambda task: -len(task.episode.message_ids))
        actors = self._start(min(max(1, self._spec.actors), len(waiting)))
        busy: dict[Any, int] = {}
        try:
            while waiting or busy:
                free = sorted(set(range(len(actors))) - set(busy.values()))
                for number in free[: len(waiting)]:
                    busy[actors[number].make.remote(waiting.pop(0))] = number
                done, _ = ray.wait(list(busy))
                with _own_words():
                    made: list[Made] = ray.get(done)
                for reference in done:
                    del busy[reference]
                yield from made
        finally:
            for actor in actors:
                ray.kill(actor)

    def _start(self, count: int) -> list[Any]:
        import ray  # noqa: PLC0415 - only where actors are asked for

        there = ray.cluster_resources().get("GPU", 0.0)
        if self._spec.gpus * count > there:
            raise UsageError(
                f"replay: {count} actors with {self._spec.gpus:g} GPUs each are asked for, and Ray "
                f"has {there:g} here. Lower `actors` or `gpus`, or give a cluster with --address"
            )
        remote: Any = ray.remote(_CompressorActor)
        actor = remote.options(
            num_cpus=1, num_gpus=self._spec.gpus, max_restarts=3, max_task_retries=3
        )
        return [actor.remote(self._spec) for _ in range(count)]


@contextmanager
def _own_words() -> Generator[None]:
    """Errors of an actor as it raised them, without Ray's traceback."""
    from ray.exceptions import RayActorError, RayTaskError  # noqa: PLC0415 - with Ray

    try:
        yield
    except RayActorError as error:
        raise EngineError(
            f"replay: an actor died and does not start again ({type(error).__name__}); the "
            "machine may be short of memory. Run again: finished episodes are kept"
        ) from error
    except RayTaskError as error:
        cause = error.cause
        if isinstance(cause, KvStoreError | ReplayEngineError | UsageError):
            raise type(cause)(*cause.args) from None
        raise EngineError(f"replay: an actor failed: {cause}") from error
