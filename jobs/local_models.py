"""The models in this very process, for jobs that need no cluster."""

from collections.abc import Sequence

from operators.base import Vectors
from operators.embedding.host import EmbedderHost
from operators.embedding.minilm import MiniLm
from operators.embedding.model_id import MODEL_ID
from transforms.apply_step import ModelUnavailableError


def require_model(model_id: str) -> None:
    """ModelUnavailableError for a model that is not installed."""
    if model_id != MODEL_ID:
        raise ModelUnavailableError(
            f"embedding model '{model_id}' is not available; this installation has '{MODEL_ID}'"
        )


class LocalModels:
    """Models of one process; a host given to it remembers what it has answered."""

    def __init__(self, host: EmbedderHost | None = None) -> None:
        self._host = host

    def embed(self, texts: Sequence[str], model_id: str) -> Vectors:
        """Vectors of the texts."""
        require_model(model_id)
        return self._opened().embed(texts)

    def token_counts(self, texts: Sequence[str], model_id: str) -> Sequence[int]:
        """Tokens of the texts."""
        require_model(model_id)
        return self._opened().token_counts(texts)

    def _opened(self) -> EmbedderHost:
        if self._host is None:  # Loading takes half a second: only when it is needed.
            self._host = EmbedderHost(MiniLm())
        return self._host
