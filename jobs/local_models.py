"""The models in this very process, for jobs that need no cluster."""

from collections.abc import Sequence

from jobs.local_llm import LocalLlms
from operators.base import Vectors
from operators.embedding.host import EmbedderHost
from operators.embedding.models import embedding_model
from operators.llm.call import Answer, Request
from operators.llm.spec import AnyLlm


class LocalModels:
    """Models of one process.

    Args:
        hosts: embedders that remember what they have answered; others start when needed.
        answers: recorded answers of language models, which are not asked for again.
    """

    def __init__(self, *hosts: EmbedderHost, answers: Sequence[Answer] = ()) -> None:
        self._hosts = {host.model_id: host for host in hosts}
        self._answers = answers
        self._llms: LocalLlms | None = None

    def embed(self, texts: Sequence[str], model_id: str) -> Vectors:
        """Vectors of the texts."""
        return self._host(model_id).embed(texts)

    def token_counts(self, texts: Sequence[str], model_id: str) -> Sequence[int]:
        """Tokens of the texts."""
        return self._host(model_id).token_counts(texts)

    def generate(self, llm: AnyLlm, requests: Sequence[Request]) -> Sequence[Answer]:
        """Answers of a language model, all in flight together."""
        if self._llms is None:
            self._llms = LocalLlms(self._answers)
        return self._llms.generate(llm, requests)

    def close(self) -> None:
        """End the engines of language models."""
        if self._llms is not None:
            self._llms.close()
            self._llms = None

    def _host(self, model_id: str) -> EmbedderHost:
        if model_id not in self._hosts:  # Loading takes half a second: only when it is needed.
            self._hosts[model_id] = EmbedderHost(embedding_model(model_id).open())
        return self._hosts[model_id]
