"""Hosts the embedder for many callers: computes each distinct text once, remembers the answers."""

import logging
import os
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from operators.base import Vectors
from operators.embedding.journal import VectorJournal
from operators.vectors import matrix
from schemas.ids import content_hash

_LOG = logging.getLogger(__name__)
REMEMBERED = 100_000  # Vectors kept in memory: 150 MB at 384 dimensions.


class Embedder(Protocol):
    """A text model; a vector must depend on its text alone."""

    @property
    def model_id(self) -> str:
        """Identity of the weights."""
        ...

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors, one per text."""
        ...

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Tokens the model reads for each text."""
        ...


class EmbedderHost:
    """One embedder with its memory of answers; runs as an actor or in process.

    Callers send equal texts to equal hosts, so a text that several conversations share is
    computed once. Cost: one embedding per distinct new text.

    Args:
        embedder: the model.
        journal: folder for answers that are not committed yet; None keeps no journal.
        remembered: answers kept in memory, least recently used dropped first.
    """

    def __init__(
        self, embedder: Embedder, journal: Path | None = None, remembered: int = REMEMBERED
    ) -> None:
        self._embedder = embedder
        self._remembered = remembered
        self._answers: OrderedDict[str, Vectors] = OrderedDict()
        self._computed = self._reused = 0
        self._journal: VectorJournal | None = None
        if journal is not None:
            name = f"{os.getpid()}-{os.urandom(4).hex()}"
            self._journal = VectorJournal(journal, name, embedder.dimension)
            for text_hash, vector in self._journal.load():
                self._remember(text_hash, vector)

    @property
    def model_id(self) -> str:
        """Identity of the embedder."""
        return self._embedder.model_id

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors of `texts`, shape (len(texts), dimension)."""
        hashes = [content_hash("text", text) for text in texts]
        new = {h: t for h, t in zip(hashes, texts, strict=True) if h not in self._answers}
        if new:
            vectors = self._embedder.embed(list(new.values()))
            self._write_down(list(new), vectors)
            for text_hash, vector in zip(new, vectors, strict=True):
                self._remember(text_hash, vector)
        self._computed += len(new)
        self._reused += len(texts) - len(new)
        return self._recall(hashes)

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Tokens the model reads for each text."""
        return self._embedder.token_counts(texts)

    def counts(self) -> dict[str, int]:
        """Texts computed and texts answered from memory since the host started."""
        return {"computed": self._computed, "reused": self._reused}

    def remember(self, hashes: Sequence[str], vectors: "pa.ChunkedArray[Any]") -> None:
        """Take recorded answers in, so that they are not computed again."""
        for text_hash, vector in zip(hashes, matrix(vectors), strict=True):
            self._remember(text_hash, vector)

    def _write_down(self, hashes: list[str], vectors: Vectors) -> None:
        """Journal answers; without it they are only paid again if the process is killed."""
        if self._journal is None:
            return
        try:
            self._journal.append(hashes, vectors)
        except OSError as error:
            _LOG.error("answers are not journaled any more: %s", error)
            self._journal = None

    def _recall(self, hashes: list[str]) -> Vectors:
        out = np.empty((len(hashes), self._embedder.dimension), np.float32)
        for row, text_hash in enumerate(hashes):
            out[row] = self._answers[text_hash]
            self._answers.move_to_end(text_hash)
        while len(self._answers) > self._remembered:
            self._answers.popitem(last=False)
        return out

    def _remember(self, text_hash: str, vector: Vectors) -> None:
        self._answers[text_hash] = vector
