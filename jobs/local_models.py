"""The models in this very process, for jobs that need no cluster."""

from collections.abc import Sequence

from jobs.local_llm import LocalLlms
from operators.base import Vectors
from operators.embedding.host import EmbedderHost
from operators.embedding.minilm import MiniLm
from operators.embedding.model_id import MODEL_ID
from operators.llm.call import Answer, Request
from operators.llm.errors import ModelUnavailableError
from operators.llm.spec import AnyLlm


def require_model(model_id: str) -> None:
    """ModelUnavailableError for a model that is not installed."""
    if model_id != MODEL_ID:
        raise ModelUnavailableError(
            f"embedding model '{model_id}' is not available; this installation has '{MODEL_ID}'"
        )


class LocalModels:
    """Models of one process.

    Args:
        host: embedder that remembers what it has answered; None starts one when needed.
        answers: recorded answers of language models, which are not asked for again.
    """

    def __init__(self, host: EmbedderHost | None = None, answers: Sequence[Answer] = ()) -> None:
        self._host = host
        self._answers = answers
        self._llms: LocalLlms | None = None

    def embed(self, texts: Sequence[str], model_id: str) -> Vectors:
        """Vectors of the texts."""
        require_model(model_id)
        return self._opened().embed(texts)

    def token_counts(self, texts: Sequence[str], model_id: str) -> Sequence[int]:
        """Tokens of the texts."""
        require_model(model_id)
        return self._opened().token_counts(texts)

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

    def _opened(self) -> EmbedderHost:
        if self._host is None:  # Loading takes half a second: only when it is needed.
            self._host = EmbedderHost(MiniLm())
        return self._host
