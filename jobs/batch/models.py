"""Models as the slice workers reach them: embedder actors."""

import contextlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import ray
from ray.exceptions import RayActorError, RayTaskError

from jobs.batch.llm_actors import ask_gateway
from jobs.batch.shared_folder import SharedFolder
from jobs.errors import EngineError
from operators.base import Vectors
from operators.embedding.host import REMEMBERED, Embedder, EmbedderHost
from operators.embedding.models import EmbeddingModel, TokenCounter, embedding_model
from operators.llm.call import Answer, Request
from operators.llm.errors import ModelUnavailableError
from operators.llm.spec import AnyLlm
from schemas.ids import content_hash
from transforms.warehouse.staging import Staging

_TEXTS_PER_CALL = 64
"""Texts per actor call: long enough to hide its 0.5 ms, short enough to share actors fairly."""

WORKER_CPUS, EMBEDDER_CPUS = 0.9, 0.02
"""Logical CPUs: a core is shared by a slice worker and an embedder, because a slice worker waits
while its texts are embedded. An embedder takes next to nothing, so that those of a node that is
lost find a place on the others at once: without it no text of theirs could be embedded."""

_RESTARTS = 100
_CALL_RETRIES = 10


class ActorModels:
    """The models in Ray actors; a text always goes to the same actor, which remembers it.

    Embedders that cost less than asking an actor run in the caller itself.

    Actors are given by name: a handle would tie a restarted caller to its first arguments.
    """

    def __init__(self, embedders: Sequence[str], gateway: str | None = None) -> None:
        self._embedders = [ray.get_actor(name) for name in embedders]
        self._gateway = ray.get_actor(gateway) if gateway else None
        self._local: dict[str, Embedder] = {}
        self._tokens: dict[str, TokenCounter] = {}

    def embed(self, texts: Sequence[str], model_id: str) -> Vectors:
        """Vectors of the texts; of a model with actors, computed by all of them at once."""
        model = embedding_model(model_id)
        return self._asked(model, texts) if model.shared else self._opened(model).embed(texts)

    def _opened(self, model: EmbeddingModel) -> Embedder:
        if model.model_id not in self._local:
            self._local[model.model_id] = model.open()
        return self._local[model.model_id]

    def _asked(self, model: EmbeddingModel, texts: Sequence[str]) -> Vectors:
        if not self._embedders:
            raise ModelUnavailableError(
                f"this job has started no embedder for model '{model.model_id}'; an operator that "
                "embeds declares COST = Cost.EMBEDDING"
            )
        out = np.empty((len(texts), model.dimension), np.float32)
        calls = [
            (rows, self._embedders[shard].embed.remote([texts[r] for r in rows], model.model_id))
            for shard, rows in self._shards(texts)
        ]
        for rows, call in calls:
            try:
                out[rows] = ray.get(call)
            except RayActorError as error:
                raise ModelUnavailableError(
                    f"an embedder actor died and could not be restarted: {error}"
                ) from error
            except EngineError as error:
                cause = error.cause if isinstance(error, RayTaskError) else error
                raise ModelUnavailableError(str(cause)) from error
            except (OSError, MemoryError) as error:  # Of the actor's machine, not of the text.
                raise ModelUnavailableError(f"an embedder actor failed: {error}") from error
        return out

    def token_counts(self, texts: Sequence[str], model_id: str) -> Sequence[int]:
        """Tokens of the texts; counted here, it needs no model."""
        if model_id not in self._tokens:
            self._tokens[model_id] = embedding_model(model_id).tokens()
        return self._tokens[model_id].counts(texts)

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
    """Ray actor body: single-threaded embedders with their memories and journals.

    Args:
        models: ids of the models to host.
        journal: folder with one of each model in it; None keeps no journal.
        remembered: answers of each model kept in memory.
    """

    def __init__(
        self,
        models: Sequence[str],
        journal: str | None,
        remembered: int,
        staging: Staging | None = None,
    ) -> None:
        self._folder = SharedFolder(staging)
        self._hosts = {
            name: EmbedderHost(
                embedding_model(name).open(), Path(journal) / name if journal else None, remembered
            )
            for name in models
        }

    def embed(self, texts: list[str], model_id: str) -> Vectors:
        """Vectors of the texts."""
        self._folder.require()
        return self._hosts[model_id].embed(texts)

    def counts(self) -> dict[str, int]:
        """Texts computed and answered from memory."""
        total: Counter[str] = Counter()
        for host in self._hosts.values():
            total.update(host.counts())
        return dict(total)

    def ready(self) -> bool:
        """True once the model is loaded."""
        self._folder.require()
        return True


def start_embedders(
    models: Sequence[str],
    count: int,
    journal: Path | None,
    remembered: int = REMEMBERED,
    staging: Staging | None = None,
) -> dict[str, Any]:
    """Embedder actors by name, over all nodes.

    A killed one is restarted, on another node if its own is gone, and its calls are sent again.

    Args:
        models: ids of the models that need actors; none where there are none.
        count: how many actors.
        journal: folder of the journals.
        remembered: answers of each model kept in memory.
        staging: of the run, by which an actor knows the shared folder.
    """
    actor = ray.remote(
        num_cpus=EMBEDDER_CPUS,
        max_restarts=_RESTARTS,
        max_task_retries=_CALL_RETRIES,
        scheduling_strategy="SPREAD",
    )(EmbedderActor)
    folder = str(journal) if journal else None
    # Names are unique in a Ray session, and another build may run in it or just have ended.
    build = os.urandom(4).hex()
    names = [f"embedder-{build}-{index}" for index in range(count if models else 0)]
    return {
        name: actor.options(name=name).remote(models, folder, remembered, staging) for name in names
    }


def embedder_counts(embedders: Mapping[str, Any]) -> Counter[str]:
    """Texts the actors computed and texts they remembered, of those they answered.

    An actor that was killed and restarted counts from its restart; one that is gone, nothing.
    """
    total: Counter[str] = Counter()
    for asked in [actor.counts.remote() for actor in embedders.values()]:
        with contextlib.suppress(RayActorError):
            total.update(ray.get(asked))
    return Counter({"answered": total["computed"], "remembered": total["reused"]})
