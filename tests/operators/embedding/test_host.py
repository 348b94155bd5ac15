"""The host computes each distinct text once, and finds its answers again after a kill."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from operators.base import Vectors
from operators.embedding.host import EmbedderHost
from operators.embedding.journal import VectorJournal
from schemas.ids import content_hash


class CountingEmbedder:
    """A vector from the text's hash; counts what it is asked."""

    model_id = "counting"
    dimension = 4

    def __init__(self) -> None:
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.asked.extend(texts)
        return np.array([vector_of(text) for text in texts], np.float32)

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]


def vector_of(text: str) -> list[float]:
    return [int(content_hash(text)[i], 16) / 16 for i in range(4)]


def test_equal_texts_are_computed_once():
    embedder = CountingEmbedder()
    host = EmbedderHost(embedder)
    first = host.embed(["a", "b", "a"])
    second = host.embed(["b", "c"])
    assert embedder.asked == ["a", "b", "c"]
    assert np.array_equal(first[0], first[2])
    assert np.array_equal(second[0], first[1])
    assert host.counts() == {"computed": 3, "reused": 2}


def test_answers_survive_a_kill(tmp_path: Path):
    EmbedderHost(CountingEmbedder(), tmp_path / "journal").embed(["a", "b"])
    later = CountingEmbedder()
    vectors = EmbedderHost(later, tmp_path / "journal").embed(["a", "b", "c"])
    assert later.asked == ["c"]
    assert np.allclose(vectors, [vector_of(t) for t in "abc"])


def test_more_texts_than_are_remembered_are_still_right():
    host = EmbedderHost(CountingEmbedder(), remembered=2)
    texts = [f"text {n}" for n in range(7)]
    assert np.allclose(host.embed(texts), [vector_of(t) for t in texts])
    assert np.allclose(host.embed(texts[::-1]), [vector_of(t) for t in texts[::-1]])


@pytest.mark.parametrize("cut", [1, 10, 35])
def test_a_torn_last_record_is_no_record(tmp_path: Path, cut: int):
    journal = VectorJournal(tmp_path, "writer", 4)
    hashes = [content_hash("text", t) for t in "ab"]
    journal.append(hashes, np.array([vector_of("a"), vector_of("b")], np.float32))
    (file,) = tmp_path.glob("*.vectors")
    file.write_bytes(file.read_bytes()[:-cut])
    assert [h for h, _ in VectorJournal(tmp_path, "reader", 4).load()] == hashes[:1]


def test_a_damaged_record_is_not_believed(tmp_path: Path):
    journal = VectorJournal(tmp_path, "writer", 4)
    journal.append([content_hash("text", "a")], np.array([vector_of("a")], np.float32))
    (file,) = tmp_path.glob("*.vectors")
    data = bytearray(file.read_bytes())
    data[20] ^= 1
    file.write_bytes(bytes(data))
    assert list(journal.load()) == []
