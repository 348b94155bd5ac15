"""Which embedding models a plan needs, and which one's vectors a warehouse is read by."""

from collections.abc import Iterable, Iterator

from jobs.last_plan import last_plan
from operators.base import Cost
from operators.embedding.model_id import MODEL_ID
from operators.embedding.models import embedding_model
from operators.text_embed import TextEmbed
from pipelines.plan import PlanStep
from transforms.warehouse.connection import Warehouse


def models_of(steps: Iterable[PlanStep]) -> tuple[str, ...]:
    """Ids of the models that the steps embed with, in their order.

    An operator of another package may embed without being a `TextEmbed`: it gets the default.
    """
    return tuple(dict.fromkeys(_models(steps)))


def shared_models(steps: Iterable[PlanStep]) -> tuple[str, ...]:
    """Those of `models_of` that run in actors of their own."""
    return tuple(name for name in models_of(steps) if embedding_model(name).shared)


def model_of_warehouse(warehouse: Warehouse) -> str:
    """Id of the model whose vectors are searched: questions must be embedded by the same one.

    Where a pipeline with another model has begun to replace the vectors, it is the model of
    the last run's plan: conversations that it has not reached are found by their words.

    Raises:
        ModelUnavailableError: that model is not installed here.
        PipelineError: an operator of that plan is not installed here.
    """
    found = [str(row[0]) for row in warehouse.rows("SELECT DISTINCT model_id FROM embeddings")]
    if not found:
        return MODEL_ID
    if len(found) > 1:
        found = [name for name in models_of(last_plan(warehouse).steps) if name in found] or sorted(
            found
        )
    return embedding_model(found[0]).model_id


def of_model(model_id: str) -> str:
    """The SQL condition for the rows of `embeddings` that a model of this installation made."""
    return f"model_id = '{embedding_model(model_id).model_id}'"


def _models(steps: Iterable[PlanStep]) -> Iterator[str]:
    for step in steps:
        if isinstance(step.operator, TextEmbed):
            yield step.operator.MODEL_ID
        elif step.cost is Cost.EMBEDDING:
            yield MODEL_ID
