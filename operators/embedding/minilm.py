"""The embedder: all-MiniLM-L6-v2, int8, one text a call."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnxruntime

from operators.base import Vectors
from operators.embedding.build_int8 import model_path
from operators.embedding.model_id import DIMENSION, MAX_TOKENS, MODEL_ID
from operators.embedding.tokens import MiniLmTokens


class MiniLm:
    """Sentence vectors by all-MiniLM-L6-v2 (https://arxiv.org/abs/2002.10957), mean pooling.

    A vector is a function of its text alone, to the bit: dynamic quantisation scales by
    everything in a call, so every call holds one text. That costs nothing on a CPU (one
    single-threaded embedder per core does as much as batches), and needs no padding.
    A text of more than `max_tokens` is cut into windows whose means are averaged, weighted
    by their tokens. Deterministic on one kind of CPU; the last bits may differ between
    instruction sets, which is why vectors are recorded and not computed again.

    Args:
        threads: threads within one call; 1 unless a single caller has the machine alone.
        max_tokens: tokens the model reads at once, special tokens included.
    """

    model_id = MODEL_ID
    dimension = DIMENSION

    def __init__(self, threads: int = 1, max_tokens: int = MAX_TOKENS):
        self._session = _session(threads)
        self._tokens = MiniLmTokens(max_tokens)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors, shape (len(texts), 384), float32; an empty text has one as well."""
        out = np.empty((len(texts), DIMENSION), np.float32)
        for row, text in enumerate(texts):
            out[row] = self._embed_one(text)
        return out

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Tokens the model reads for each text, special tokens included."""
        return self._tokens.counts(texts)

    def _embed_one(self, text: str) -> npt.NDArray[np.float64]:
        windows = self._tokens.windows(text)
        total = np.zeros(DIMENSION, np.float64)
        for ids in windows:
            inputs = {"input_ids": np.array([ids], np.int64)}
            mean = self._session.run(None, inputs)[0]
            total += len(ids) * np.asarray(mean, np.float64)[0]
        return total / max(float(np.sqrt(total @ total)), 1e-12)


def session_options(threads: int) -> onnxruntime.SessionOptions:
    """How the graph is run: in a fixed order, by so many threads within one call."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    # Idle threads of one actor must not spin on the core of another.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # The graph is written in fused nodes; higher levels would only bring the slow
    # SkipLayerNormalization back (see model_graph).
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    return options


def _session(threads: int) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(
        str(model_path()), session_options(threads), providers=["CPUExecutionProvider"]
    )
