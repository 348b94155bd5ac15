"""The static embedder: a pure function of text and table, near to the model it comes from."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.embedding.build_static import table_hash, table_path
from operators.embedding.model_id import DIMENSION, STATIC_TABLE_HASH
from operators.embedding.static import StaticMiniLm
from operators.embedding.tokens import WordPieces
from tests.effort import examples

TEXTS = [
    "Ada moved to Lisbon in May.",
    "The kettle is broken again, so we had cold tea.",
    "",
    "Tom's sister studies marine biology at the coast.",
    "word " * 4500,
    "déjà vu 日本語 🙂",
    "a \ud800 b",
    "🙂",
]
_MODEL = StaticMiniLm()
_RECORDED_ON = "avx512_vnni"


def test_unit_vectors_float32() -> None:
    vectors = _MODEL.embed(TEXTS)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS), DIMENSION)
    assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-6
    assert _MODEL.embed([]).shape == (0, DIMENSION)


@examples(8)
@given(st.permutations(TEXTS), st.integers(1, len(TEXTS)))
def test_vector_does_not_depend_on_its_batch(texts: list[str], size: int) -> None:
    parts = [_MODEL.embed(texts[i : i + size]) for i in range(0, len(texts), size)]
    single = {t: _MODEL.embed([t])[0].tobytes() for t in texts}
    assert [v.tobytes() for v in np.concatenate(parts)] == [single[t] for t in texts]


def test_a_vector_is_the_normalised_sum_of_its_tokens_rows() -> None:
    table = np.load(table_path())
    (ids,) = WordPieces().ids([TEXTS[0]])
    total = [sum(int(table[i, d]) for i in ids) for d in range(DIMENSION)]
    wanted = np.array(total) / np.sqrt(float(sum(t * t for t in total)))
    assert np.abs(_MODEL.embed([TEXTS[0]])[0] - wanted).max() < 1e-7


def test_long_texts_are_read_to_their_end() -> None:
    filler = "the weather was mild and the road was long " * 500
    plain, ending = _MODEL.embed([filler, filler + "the violin was sold to a museum " * 250])
    assert 0.5 < float(plain @ ending) < 0.98
    assert float(plain @ _MODEL.embed([filler[: len(filler) // 500]])[0]) > 0.99999


def test_texts_without_a_known_token_share_a_vector() -> None:
    empty, smile, known = _MODEL.embed(["", "🙂", "tea"])
    assert np.array_equal(empty, smile)
    assert float(empty @ known) < 0.5


def test_token_counts_are_those_of_the_sum() -> None:
    assert _MODEL.token_counts(["", "cold tea", "word " * 900]) == [0, 2, 900]


def test_meaning_decides() -> None:
    query, near, far = _MODEL.embed(
        ["Where does Ada live now?", TEXTS[0], "The recipe needs two cups of flour."]
    )
    assert float(query @ near) > float(query @ far) + 0.15
    house, home = _MODEL.embed(["We bought a house.", "They purchased our home."])
    assert float(house @ home) > 0.4


def test_the_table_is_the_recorded_one() -> None:
    if _RECORDED_ON not in Path("/proc/cpuinfo").read_text():
        pytest.skip(f"recorded on a CPU with {_RECORDED_ON}; others may round differently")
    assert table_hash() == STATIC_TABLE_HASH


@pytest.mark.slow
def test_built_anew_it_has_the_same_bytes(tmp_path: Path) -> None:
    """In another process and folder, with other threads about: nothing of the machine's state."""
    environment = {**os.environ, "MEMORYFLOW_CACHE": str(tmp_path), "OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-m", "operators.embedding.build_static"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    path, built = done.stdout.split()
    assert Path(path).parent == tmp_path
    assert built == table_hash()
    assert Path(path).read_bytes() == table_path().read_bytes()
