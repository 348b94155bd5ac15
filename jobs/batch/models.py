"""Models as the slice workers reach them: embedder actors."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import ray
from ray.exceptions import RayActorError

from jobs.batch.llm_actors import ask_gateway
from jobs.local_models import require_model
from operators.base import Vectors
from operators.embedding.host import REMEMBERED, EmbedderHost
from operators.embedding.minilm import MiniLm
from operators.embedding.model_id import DIMENSION
from operators.embedding.tokens import MiniLmTokens
from operators.llm.call import Answer, Request
from operators.llm.errors import ModelUnavailableError
from operators.llm.spec import AnyLlm
from schemas.ids import content_hash

_TEXTS_PER_CALL = 64
"""Texts per actor call: long enough to hide its 0.5 ms, short enough to share actors fairly."""

CPU_SHARE = 0.5
"""Logical CPUs per embedder and per slice worker: a core is shared by one of each, because a
slice worker waits while its texts are embedded."""


class ActorModels:
    """The models in Ray actors; a text always goes to the same actor, which remembers it.

    Actors are given by name: a handle would tie a restarted caller to its first arguments.
    """

    def __init__(self, embedders: Sequence[str], gateway: str | None = None) -> None:
        self._embedders = [ray.get_actor(name) for name in embedders]
        self._gateway = ray.get_actor(gateway) if gateway else None
        self._tokens: MiniLmTokens | None = None

    def embed(self, texts: Sequence[str], model_id: str) -> Vectors:
        """Vectors of the texts, computed by all actors at once."""
        require_model(model_id)
        out = np.empty((len(texts), DIMENSION), np.float32)
        shards = self._shards(texts)
        calls = [
            (rows, self._embedders[shard].embed.remote([texts[row] for row in rows]))
            for shard, rows in shards
        ]
        for rows, call in calls:
            try:
                out[rows] = ray.get(call)
            except RayActorError as error:
                raise ModelUnavailableError(
                    f"an embedder actor died and could not be restarted: {error}"
                ) from error
            except (OSError, MemoryError) as error:  # Of the actor's machine, not of the text.
                raise ModelUnavailableError(f"an embedder actor failed: {error}") from error
        return out

    def token_counts(self, texts: Sequence[str], model_id: str) -> Sequence[int]:
        """Tokens of the texts; counted here, it needs no model."""
        require_model(model_id)
        if self._tokens is None:
            self._tokens = MiniLmTokens()
        return self._tokens.counts(texts)

    def generate(self, llm: AnyLlm, requests: Sequence[Request]) -> Sequence[Answer]:
        """Answers of a language model, all in flight together."""
        if self._gateway is None:
            raise ModelUnavailableError("this job has started no gateway to a language model")
        return ask_gateway(self._gateway, llm, requests)

    def _shards(self, texts: Sequence[str]) -> list[tuple[int, list[int]]]:
        """(actor, rows) per call, calls to the actors interleaved."""
        by_actor: list[list[int]] = [[] for _ in self._embedders]
        for row, text in enumerate(texts):
            by_actor[int(content_hash("text", text)[:8], 16) % len(by_actor)].append(row)
        longest = max(map(len, by_actor), default=0)
        return [
            (actor, rows[start : start + _TEXTS_PER_CALL])
            for start in range(0, longest, _TEXTS_PER_CALL)
            for actor, rows in enumerate(by_actor)
            if start < len(rows)
        ]


class EmbedderActor:
    """Ray actor body: one single-threaded embedder with its memory and journal."""

    def __init__(self, journal: str | None, remembered: int) -> None:
        folder = Path(journal) if journal else None
        self._host = EmbedderHost(MiniLm(threads=1), folder, remembered)

    def embed(self, texts: list[str]) -> Vectors:
        """Vectors of the texts."""
        return self._host.embed(texts)

    def counts(self) -> dict[str, int]:
        """Texts computed and answered from memory."""
        return self._host.counts()

    def ready(self) -> bool:
        """True once the model is loaded."""
        return True


def start_embedders(
    count: int, journal: Path | None, remembered: int = REMEMBERED
) -> dict[str, Any]:
    """Embedder actors by name; a killed one is restarted and its calls are sent again."""
    actor = ray.remote(num_cpus=CPU_SHARE, max_restarts=10, max_task_retries=10)(EmbedderActor)
    folder = str(journal) if journal else None
    # Names are unique in a Ray session, and another build may run in it or just have ended.
    build = os.urandom(4).hex()
    names = [f"embedder-{build}-{index}" for index in range(count)]
    return {name: actor.options(name=name).remote(folder, remembered) for name in names}


def embedder_counts(embedders: Mapping[str, Any]) -> Counter[str]:
    """Texts the actors computed and texts they remembered, of those they answered.

    An actor that was killed and restarted counts from its restart.
    """
    total: Counter[str] = Counter()
    for counts in ray.get([actor.counts.remote() for actor in embedders.values()]):
        total.update(counts)
    return Counter({"answered": total["computed"], "remembered": total["reused"]})
