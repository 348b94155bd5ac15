"""OpenAI embeddings from hashed words: texts that share words are near each other."""

import base64
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.llm.lines import draw
from benchmarks.llm.tokens import TokenCounter

_DIMENSION = 384

Vector = npt.NDArray[np.float32]


def embedding_reply(body: dict[str, Any], tokens: TokenCounter) -> tuple[dict[str, Any], int]:
    """The reply's body and the tokens read. `dimensions` and `encoding_format` are heeded."""
    given = body["input"]
    texts = [str(one) for one in (given if isinstance(given, list) else [given])]
    dimension = int(body.get("dimensions") or _DIMENSION)
    as_text = body.get("encoding_format") == "base64"
    data = [
        {
            "object": "embedding",
            "index": at,
            "embedding": _written(hash_vector(text, dimension), as_text),
        }
        for at, text in enumerate(texts)
    ]
    read = sum(len(tokens.ids(text)) for text in texts)
    usage = {"prompt_tokens": read, "total_tokens": read}
    return {"object": "list", "data": data, "model": body.get("model", ""), "usage": usage}, read


def hash_vector(text: str, dimension: int) -> Vector:
    """Unit vector, float32: the mean of a fixed random vector for each word."""
    vector = np.full(dimension, 1e-3, np.float32)
    for word in text.casefold().split():
        vector += _word_vector(word, dimension)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


@lru_cache(50_000)
def _word_vector(word: str, dimension: int) -> Vector:
    return np.random.default_rng(draw(word)).standard_normal(dimension).astype(np.float32)


def _written(vector: Vector, as_text: bool) -> Any:
    return base64.b64encode(vector.tobytes()).decode() if as_text else vector.tolist()
