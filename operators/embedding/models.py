"""The embedding models of this installation, by their id.

A vector says by its `model_id` which of them made it; vectors of two models cannot be compared.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from operators.embedding.host import Embedder
from operators.embedding.model_id import DIMENSION, MODEL_ID, STATIC_MODEL_ID
from operators.llm.errors import ModelUnavailableError


class TokenCounter(Protocol):
    """What a model reads of a text, known without its weights."""

    def counts(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text."""
        ...


@dataclass(frozen=True)
class EmbeddingModel:
    """A model as the jobs see it, before anything of it is loaded.

    Attributes:
        model_id: stored with every vector.
        dimension: length of a vector.
        shared: dear enough for processes of its own, which remember and journal their answers;
            the others are computed where they are needed, because asking would cost more.
        open: loads it (and builds it where it is missing).
        tokens: loads its tokenizer.
    """

    model_id: str
    dimension: int
    shared: bool
    open: Callable[[], Embedder]
    tokens: Callable[[], TokenCounter]


# The classes are imported when a model is opened: most processes need one of them, or none.
def _minilm() -> Embedder:
    from operators.embedding.minilm import MiniLm  # noqa: PLC0415

    return MiniLm(threads=1)


def _minilm_tokens() -> TokenCounter:
    from operators.embedding.tokens import MiniLmTokens  # noqa: PLC0415

    return MiniLmTokens()


def _static() -> Embedder:
    from operators.embedding.static import StaticMiniLm  # noqa: PLC0415

    return StaticMiniLm()


def _static_tokens() -> TokenCounter:
    from operators.embedding.tokens import WordPieces  # noqa: PLC0415

    return WordPieces()


MODELS: Mapping[str, EmbeddingModel] = MappingProxyType(
    {
        model.model_id: model
        for model in (
            EmbeddingModel(MODEL_ID, DIMENSION, shared=True, open=_minilm, tokens=_minilm_tokens),
            EmbeddingModel(
                STATIC_MODEL_ID, DIMENSION, shared=False, open=_static, tokens=_static_tokens
            ),
        )
    }
)


def embedding_model(model_id: str) -> EmbeddingModel:
    """The model of this id; ModelUnavailableError where this installation has no such model."""
    if model_id not in MODELS:
        raise ModelUnavailableError(
            f"embedding model '{model_id}' is not available; this installation has "
            + " and ".join(f"'{name}'" for name in MODELS)
        )
    return MODELS[model_id]
