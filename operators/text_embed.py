"""Vectors of the texts of memory: what all operators that embed have in common."""

from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa

from operators.base import Cost, Key, Models, Operator, StepResult, Tables, Vectors
from operators.frames import build, need, values
from operators.vectors import matrix, text_hash
from schemas.ids import content_hash, content_id

_TextKey = tuple[str, str, str]  # tenant, conversation, text hash


class TextEmbed(Operator, frozen=True):
    """Embed every distinct text of a conversation; subclasses name the model.

    A vector is a function of its text alone, so vectors already known (an `embeddings` table
    among the input, same model) are reused, and each distinct text of the call is sent once.

    Input: `facts.text`; optionally `embeddings`.
    Output: `embeddings`, one row per (tenant, conversation, text); `artifacts`, one per
    embedding, whether the model was called now or before.
    Errors: `ValueError` where the model gives another number of vectors than texts.
    Cost: embedding. Deterministic.

    Attributes:
        table: table whose texts are embedded.
        column: its text column.
        MODEL_ID: the model, one of `operators.embedding.models`.
    """

    table: Literal["facts"] = "facts"
    column: Literal["text"] = "text"

    MODEL_ID: ClassVar[str]
    READS: ClassVar[tuple[str, ...]] = ("facts.text",)
    WRITES: ClassVar[tuple[str, ...]] = ("embeddings", "artifacts")
    KEY: ClassVar[Key] = Key.TEXT
    COST: ClassVar[Cost] = Cost.EMBEDDING

    def fingerprint_parameters(self) -> dict[str, Any]:
        """The parameters and the model: other weights are another function."""
        return super().fingerprint_parameters() | {"model_id": self.MODEL_ID}

    def run(self, tables: Tables, models: Models) -> StepResult:
        """Embed the distinct texts that have no vector yet."""
        source = need(tables, self.table, self.operator)
        texts = _distinct_texts(source, self.column)
        vectors = _known(tables.get("embeddings"), self.MODEL_ID, texts)
        known = len(vectors)
        hash_text = {key[2]: text for key, text in texts.items()}
        missing = sorted(name for name in hash_text if name not in vectors)
        if missing:
            made = models.embed([hash_text[name] for name in missing], self.MODEL_ID)
            if len(made) != len(missing):
                raise ValueError(
                    f"{self.MODEL_ID} gave {len(made)} vectors for {len(missing)} texts; "
                    "a model must give one vector per text, in order"
                )
            made = np.ascontiguousarray(made, dtype=np.float32)
            vectors.update(zip(missing, made, strict=True))
        tokens = _tokens(models, self.MODEL_ID, hash_text)
        out = {
            "embeddings": _embeddings(self.MODEL_ID, texts, vectors),
            "artifacts": self._artifacts(texts, vectors, tokens),
        }
        counters = {
            "in": source.num_rows,
            "texts": len(texts),
            "embedded": len(missing),
            "reused": known,
        }
        return StepResult(out, counters)

    def _artifacts(
        self, texts: dict[_TextKey, str], vectors: dict[str, Vectors], tokens: dict[str, int]
    ) -> pa.Table:
        fingerprint = self.fingerprint()
        hashes = [key[2] for key in texts]
        ids = {name: content_id("artifact", fingerprint, name) for name in set(hashes)}
        bytes_of = {name: vectors[name].astype("<f4").tobytes() for name in ids}
        outputs = {name: content_hash(data) for name, data in bytes_of.items()}
        rows = len(hashes)
        return build(
            "artifacts",
            {
                "tenant": [key[0] for key in texts],
                "conversation_id": [key[1] for key in texts],
                "session_id": [""] * rows,
                "artifact_id": [ids[name] for name in hashes],
                "step": [self.operator] * rows,
                "fingerprint": [fingerprint] * rows,
                "model_id": [self.MODEL_ID] * rows,
                "prompt": [""] * rows,
                "input_hash": hashes,
                "status": ["ok"] * rows,
                "output": [None] * rows,  # the vector is in `embeddings`
                "output_hash": [outputs[name] for name in hashes],
                "tokens_in": [tokens[name] for name in hashes],
                "tokens_out": [0] * rows,
                "cached_tokens": [None] * rows,
                "latency_ms": [None] * rows,
                "cost": [None] * rows,
            },
        )


def _distinct_texts(table: pa.Table, column: str) -> dict[_TextKey, str]:
    texts = values(table, column)
    hashes = {text: text_hash(text) for text in set(texts)}
    scopes = zip(values(table, "tenant"), values(table, "conversation_id"), strict=True)
    return {(*scope, hashes[text]): text for scope, text in zip(scopes, texts, strict=True)}


def _known(table: pa.Table | None, model_id: str, texts: dict[_TextKey, str]) -> dict[str, Vectors]:
    """Vectors of this model among the given ones, by text hash."""
    if table is None:
        return {}
    wanted = {key[2] for key in texts}
    rows = [
        row
        for row, (name, model) in enumerate(
            zip(values(table, "text_hash"), values(table, "model_id"), strict=True)
        )
        if model == model_id and name in wanted
    ]
    if not rows:
        return {}
    picked = table.select(["text_hash", "vector"]).take(rows)
    return dict(zip(values(picked, "text_hash"), matrix(picked.column("vector")), strict=True))


def _embeddings(model_id: str, texts: dict[_TextKey, str], vectors: dict[str, Vectors]) -> pa.Table:
    return build(
        "embeddings",
        {
            "tenant": [key[0] for key in texts],
            "conversation_id": [key[1] for key in texts],
            "text_hash": [key[2] for key in texts],
            "model_id": [model_id] * len(texts),
            "vector": [vectors[key[2]] for key in texts],
        },
    )


def _tokens(models: Models, model_id: str, hash_text: dict[str, str]) -> dict[str, int]:
    # Of all texts, known vectors too: the rows of artifacts follow from the facts alone.
    names = sorted(hash_text)
    counts = models.token_counts([hash_text[name] for name in names], model_id)
    return {name: int(count) for name, count in zip(names, counts, strict=True)}
