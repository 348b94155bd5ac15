import numpy as np
import pytest

from operators.embedding.model_id import MODEL_ID, STATIC_MODEL_ID
from operators.minilm_embed import MiniLmEmbed
from operators.static_embed import StaticEmbed
from operators.vectors import exact_dots, matrix, text_hash
from tests.operators.samples import HashModels, fact, table, word_vector

FACTS = [
    fact("a", 0, "tea at noon"),
    fact("b", 1, "tea at noon"),
    fact("c", 2, "a red bicycle"),
    fact("d", 3, "tea at noon", conversation_id="other"),
]


def run(rows, models, **tables):
    return MiniLmEmbed().run({"facts": table("facts", rows), **tables}, models)


def test_distinct_texts_are_sent_once_and_rows_are_per_conversation():
    models = HashModels()
    result = run(FACTS, models)
    assert sorted(models.sent) == ["a red bicycle", "tea at noon"]
    rows = result.tables["embeddings"].to_pylist()
    assert len(rows) == 3
    assert {row["model_id"] for row in rows} == {MODEL_ID}
    vectors = {row["text_hash"]: row["vector"] for row in rows}
    np.testing.assert_array_equal(vectors[text_hash("tea at noon")], word_vector("tea at noon"))


def test_known_vectors_are_reused_and_the_rows_are_the_same():
    first = run(FACTS, HashModels()).tables
    models = HashModels()
    again = run(FACTS, models, embeddings=first["embeddings"])
    assert models.sent == []
    assert again.counters["reused"] == 2
    assert all(again.tables[name].equals(first[name]) for name in first)


def test_vectors_of_another_model_are_not_reused():
    known = run(FACTS, HashModels()).tables["embeddings"]
    other = known.set_column(3, known.schema.field("model_id"), [["other@1"] * len(known)])
    models = HashModels()
    made = run(FACTS, models, embeddings=other).tables["embeddings"]
    assert len(models.sent) == 2
    assert made.equals(known)


def test_artifacts_record_every_embedding():
    rows = run(FACTS, HashModels()).tables["artifacts"].to_pylist()
    assert len(rows) == 3
    assert {row["input_hash"] for row in rows} == {
        text_hash("tea at noon"),
        text_hash("a red bicycle"),
    }
    assert {row["tokens_in"] for row in rows} == {3}
    assert all(row["output"] is None and row["fingerprint"] for row in rows)


def test_a_model_that_loses_a_text_is_an_error():
    class Loses(HashModels):
        def embed(self, texts, model_id):
            return super().embed(texts, model_id)[1:]

    with pytest.raises(ValueError, match="gave 1 vectors for 2 texts"):
        run(FACTS, Loses())


def test_the_model_is_part_of_the_fingerprint(monkeypatch):
    before = MiniLmEmbed().fingerprint()
    monkeypatch.setattr(MiniLmEmbed, "MODEL_ID", "other@1")
    assert MiniLmEmbed().fingerprint() != before


def test_another_operator_is_another_model_with_the_same_rows_otherwise():
    first = run(FACTS, HashModels()).tables
    models = HashModels()
    made = StaticEmbed().run({"facts": table("facts", FACTS), **first}, models).tables
    assert len(models.sent) == 2  # The vectors of the other model are of no use.
    assert set(made["embeddings"]["model_id"].to_pylist()) == {STATIC_MODEL_ID}
    assert set(made["artifacts"]["model_id"].to_pylist()) == {STATIC_MODEL_ID}
    assert set(made["artifacts"]["step"].to_pylist()) == {"static_minilm"}
    same = [name for name in first["embeddings"].column_names if name != "model_id"]
    assert made["embeddings"].select(same).equals(first["embeddings"].select(same))


@pytest.mark.parametrize("width", [1, 2, 3, 7, 16, 384])
def test_exact_dots_do_not_depend_on_the_batch(width):
    rng = np.random.default_rng(0)
    many = rng.normal(size=(40, width)).astype(np.float32)
    whole = exact_dots(many[0], many)
    alone = [exact_dots(many[0], many[i : i + 1])[0] for i in range(40)]
    assert whole.tolist() == alone
    np.testing.assert_allclose(whole, many.astype(float) @ many[0].astype(float), rtol=1e-9)


def test_matrix_of_a_slice():
    data = run(FACTS, HashModels()).tables["embeddings"]
    np.testing.assert_array_equal(
        matrix(data.slice(1).column("vector")), matrix(data.column("vector"))[1:]
    )
