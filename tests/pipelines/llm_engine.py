"""The models of a run without a language model: real vectors, plausible answers, all counted."""

from collections.abc import Sequence
from functools import cache

from jobs.local_models import LocalModels
from operators.base import Vectors
from operators.embedding.host import EmbedderHost
from operators.embedding.minilm import MiniLm
from operators.llm.call import Answer, Request
from operators.llm.spec import AnyLlm
from tests.operators.llm.fakes import plausible


@cache
def embedder() -> LocalModels:
    """The real embedder; it remembers, so a few texts cost little."""
    return LocalModels(EmbedderHost(MiniLm()))


class Engine:
    """The real embedder, and plausible answers; counts what it is asked."""

    def __init__(self, broken: bool = False) -> None:
        self.calls: list[str] = []
        self.rounds = 0
        self._broken = broken

    def embed(self, texts: Sequence[str], model_id: str) -> Vectors:
        return embedder().embed(texts, model_id)

    def token_counts(self, texts: Sequence[str], model_id: str) -> Sequence[int]:
        return embedder().token_counts(texts, model_id)

    def generate(self, llm: AnyLlm, requests: Sequence[Request]) -> list[Answer]:
        ids = [request.call_id(llm) for request in requests]
        self.calls += ids
        self.rounds += 1
        texts = ["{" if self._broken else plausible(request) for request in requests]
        return [Answer(id_, "ok", text, 5, 5) for id_, text in zip(ids, texts, strict=True)]
