"""The token table of the static embedder, distilled from the int8 MiniLM.

Method: Model2Vec (https://github.com/MinishLab/model2vec). Every token of the vocabulary goes
through the model by itself, as `[CLS] token [SEP]`; its contextual vector (the last layer's, at
the token's place) is its row. A row is weighted as in SIF (Arora, Liang, Ma: A simple but
tough-to-beat baseline for sentence embeddings, ICLR 2017, https://openreview.net/pdf?id=SyK00v5xx):
a / (a + p), p the probability of the token. No corpus is needed: the vocabulary is sorted by
frequency, and Zipf's law gives p from the rank. The mean of all rows is taken out first: it
says nothing of a text, and with it out the cosines of facts lie where MiniLM's lie, so that the
thresholds of later steps (near duplicates, associations, relations) stand. PCA and taking out
leading directions, tried too, did not help recall; without them there is no linear algebra
whose last bits depend on the number of threads.

The library itself is not used: distilling with it needs torch and another transformers than
ours, and it could not take our int8 model. It is this one file.

The table is int16 with one scale for all rows, so that sums of rows are exact in any order.

Deterministic: fixed bytes on one machine, whatever its load or number of cores. Between kinds
of CPU the model's integer kernels may round differently (as for MiniLM itself); the table then
differs in last digits, and so do vectors. `build_static` prints its hash, to compare machines.
"""

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper

from operators.embedding.build_int8 import model_path
from operators.embedding.minilm import session_options
from operators.embedding.model_id import DIMENSION
from operators.embedding.tokens import WordPieces

FALLBACK = 101
"""Row of [CLS]: in no text, it stands for a text without any known token."""

_UNKNOWN, _CLS, _SEP = 100, 101, 102
_WORDS = 1996
"""Id of 'the'. From here on words and their pieces are sorted by frequency; what is before are
places never used, special tokens and single characters in the order of their codes."""

_CHARACTER_RANK = 20
"""Of single characters, most of them punctuation and digits: as frequent as 'at' and 'by'."""

_SMOOTHING = 3e-4
"""a of SIF."""

_LAST_LAYER = "x6"
_LARGEST = 32_000  # of int16's 32,767


def distil() -> npt.NDArray[np.int16]:
    """The table, one row per token of the vocabulary. Half a minute of one core."""
    size = WordPieces().vocabulary
    vectors = _token_vectors(size).astype(np.float64)
    vectors -= vectors[_WORDS:].mean(axis=0)
    rows = vectors * _weights(size)[:, None]
    rows[FALLBACK] = vectors[FALLBACK]
    scale = _LARGEST / np.abs(rows).max()
    return np.rint(rows * scale).astype(np.int16)


def _token_vectors(size: int) -> npt.NDArray[np.float32]:
    """The model's vector of each token, read by itself."""
    session = _session()
    out = np.empty((size, DIMENSION), np.float32)
    for token in range(size):
        inputs = {"input_ids": np.array([[_CLS, token, _SEP]], np.int64)}
        out[token] = np.asarray(session.run([_LAST_LAYER], inputs)[0])[0, 1]
    return out


def _session() -> onnxruntime.InferenceSession:
    """The int8 model, with its last layer as an output."""
    model = onnx.load(model_path())
    shape = [1, "n", DIMENSION]
    model.graph.output.append(helper.make_tensor_value_info(_LAST_LAYER, TensorProto.FLOAT, shape))
    return onnxruntime.InferenceSession(
        model.SerializeToString(), session_options(1), providers=["CPUExecutionProvider"]
    )


def _weights(size: int) -> npt.NDArray[np.float64]:
    """SIF weights by Zipf's law; nothing for tokens that say nothing."""
    ids = np.arange(size)
    rank = np.where(ids < _WORDS, _CHARACTER_RANK, ids - (_WORDS - 1))
    harmonic = np.log(size - _WORDS) + np.euler_gamma
    weights = _SMOOTHING / (_SMOOTHING + 1 / (rank * harmonic))
    weights[[_UNKNOWN, _CLS, _SEP]] = 0
    return weights
