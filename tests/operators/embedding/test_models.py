"""The registry names every embedder, and what it says of one is so."""

import pytest

from operators.embedding.model_id import MODEL_ID, STATIC_MODEL_ID
from operators.embedding.models import MODELS, embedding_model
from operators.llm.errors import ModelUnavailableError


@pytest.mark.parametrize("model_id", MODELS)
def test_what_is_said_of_a_model_holds(model_id: str) -> None:
    model = embedding_model(model_id)
    opened = model.open()
    assert (opened.model_id, opened.dimension) == (model_id, model.dimension)
    texts = ["Ada moved to Lisbon.", "", "tea " * 700]
    assert opened.embed(texts).shape == (3, model.dimension)
    assert model.tokens().counts(texts) == opened.token_counts(texts)


def test_only_the_dear_one_has_actors() -> None:
    assert {name: model.shared for name, model in MODELS.items()} == {
        MODEL_ID: True,
        STATIC_MODEL_ID: False,
    }


def test_a_model_that_is_not_here_is_named_with_those_that_are() -> None:
    with pytest.raises(ModelUnavailableError, match=r"'other@1'.*MiniLM.*static"):
        embedding_model("other@1")
