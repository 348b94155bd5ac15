"""Recomputes conversations in this process, by the pipeline that built the warehouse."""

from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa

from jobs.embedding_models import models_of, of_model
from jobs.rebuild_models import RebuildModels
from operators.embedding.host import EmbedderHost
from operators.embedding.models import embedding_model
from operators.llm.call import Answer
from pipelines.plan import Plan
from pipelines.slice_build import build_slice
from transforms.call_ledger import answers_of
from transforms.frame import Conversation, conversations_of
from transforms.warehouse.connection import JOURNAL_DIR, Warehouse
from transforms.warehouse.read import read_table


def rebuilder(plan: Plan) -> Callable[[Warehouse, pa.Table], Mapping[str, pa.Table]]:
    """From the messages of some conversations to all their rows.

    Recorded vectors and answers of language models are reused. What has changed with the
    erasure is asked anew; where the model cannot be reached, the rules stand in until the next
    build (see `RebuildModels`).
    """

    def rebuild(warehouse: Warehouse, messages: pa.Table) -> Mapping[str, pa.Table]:
        hosts = [_host(warehouse, name, messages) for name in models_of(plan.steps)]
        answers = recorded_answers(warehouse, conversations_of(messages))
        models = RebuildModels(hosts, answers, warehouse.path / JOURNAL_DIR)
        try:
            result = build_slice(messages, [], None, plan.steps, models)
        finally:
            models.close()
        return {c.table: c.inserts for c in result.changes if c.inserts is not None}

    return rebuild


def _host(warehouse: Warehouse, model_id: str, messages: pa.Table) -> EmbedderHost:
    """The embedder of one model, with the vectors that it has given these conversations."""
    host = EmbedderHost(embedding_model(model_id).open())
    recorded = read_table(
        warehouse,
        "embeddings",
        ["text_hash", "vector"],
        conversations_of(messages),
        where=of_model(model_id),
    )
    host.remember([str(h) for h in recorded["text_hash"].to_pylist()], recorded["vector"])
    return host


def recorded_answers(warehouse: Warehouse, conversations: Sequence[Conversation]) -> list[Answer]:
    """What language models have answered for these conversations."""
    rows = read_table(warehouse, "artifacts", None, conversations, where="output IS NOT NULL")
    return list(answers_of(rows))
