"""Recomputes conversations in this process, by the pipeline that built the warehouse."""

from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa

from jobs.errors import UsageError
from jobs.rebuild_models import RebuildModels
from operators.embedding.host import EmbedderHost
from operators.embedding.minilm import MiniLm
from operators.embedding.model_id import MODEL_ID
from operators.llm.call import Answer
from pipelines.plan import Plan, restored_plan
from pipelines.slice_build import build_slice
from transforms.call_ledger import answers_of
from transforms.frame import Conversation, conversations_of
from transforms.warehouse.connection import JOURNAL_DIR, Warehouse
from transforms.warehouse.read import read_table


def last_plan(warehouse: Warehouse) -> Plan:
    """The plan of the last run.

    Raises:
        UsageError: the warehouse has not been built yet.
        PipelineError: an operator of the plan is not installed here.
    """
    rows = warehouse.rows(
        "SELECT pipeline_spec FROM runs WHERE job IN ('run', 'stream') "
        "ORDER BY started_at DESC, run_id LIMIT 1"
    )
    if not rows:
        raise UsageError(f"{warehouse.path}: nothing has been built here yet; see `memoryflow run`")
    return restored_plan(rows[0][0])


def rebuilder(plan: Plan) -> Callable[[Warehouse, pa.Table], Mapping[str, pa.Table]]:
    """From the messages of some conversations to all their rows.

    Recorded vectors and answers of language models are reused. What has changed with the
    erasure is asked anew; where the model cannot be reached, the rules stand in until the next
    build (see `RebuildModels`).
    """

    def rebuild(warehouse: Warehouse, messages: pa.Table) -> Mapping[str, pa.Table]:
        host = EmbedderHost(MiniLm())
        recorded = read_table(
            warehouse,
            "embeddings",
            ["text_hash", "vector"],
            conversations_of(messages),
            where=f"model_id = '{MODEL_ID}'",
        )
        host.remember([str(h) for h in recorded["text_hash"].to_pylist()], recorded["vector"])
        answers = recorded_answers(warehouse, conversations_of(messages))
        models = RebuildModels(host, answers, warehouse.path / JOURNAL_DIR)
        try:
            result = build_slice(messages, [], None, plan.steps, models)
        finally:
            models.close()
        return {c.table: c.inserts for c in result.changes if c.inserts is not None}

    return rebuild


def recorded_answers(warehouse: Warehouse, conversations: Sequence[Conversation]) -> list[Answer]:
    """What language models have answered for these conversations."""
    rows = read_table(warehouse, "artifacts", None, conversations, where="output IS NOT NULL")
    return list(answers_of(rows))
