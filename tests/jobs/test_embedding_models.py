"""The model follows from the plan, and a question is embedded as the warehouse was."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from jobs.batch.models import ActorModels
from jobs.embedding_models import model_of_warehouse, models_of, shared_models
from jobs.explain import runs_on
from jobs.local_models import LocalModels
from jobs.rebuild import rebuilder
from jobs.search import SearchSession
from operators.embedding.model_id import MODEL_ID, STATIC_MODEL_ID
from operators.llm.errors import ModelUnavailableError
from pipelines.plan import Plan, plan, plan_record, plan_spec
from schemas.tables import TABLES
from tests.jobs.search_samples import TALK, search_warehouse
from transforms.warehouse.commit import ChangeSet, commit, upsert
from transforms.warehouse.connection import open_warehouse
from transforms.warehouse.read import read_table

STATIC, MINILM = plan("conversation_memory_static"), plan("conversation_memory")


def test_the_static_pipeline_is_the_default_one_with_another_embedder() -> None:
    def described(used: Plan) -> list[tuple[str, str]]:
        return [(step.id, step.fingerprint) for step in used.steps if step.id != "embed"]

    assert described(STATIC) == described(MINILM)
    assert STATIC.warnings == ()


def test_models_of_a_plan() -> None:
    assert models_of(MINILM.steps) == shared_models(MINILM.steps) == (MODEL_ID,)
    assert (models_of(STATIC.steps), shared_models(STATIC.steps)) == ((STATIC_MODEL_ID,), ())
    assert runs_on(MINILM.step("embed")) == "embedder actor"
    assert runs_on(STATIC.step("embed")) == "ray worker"


def test_without_actors_a_worker_embeds_itself_what_is_cheap_and_nothing_else() -> None:
    models = ActorModels([])
    assert models.embed(["tea"], STATIC_MODEL_ID).shape == (1, 384)
    assert models.token_counts(["tea"], STATIC_MODEL_ID) == [1]
    assert models.token_counts(["tea"], MODEL_ID) == [3]
    with pytest.raises(ModelUnavailableError, match="has started no embedder for model 'all-Mini"):
        models.embed(["tea"], MODEL_ID)


def test_a_static_warehouse_is_searched_by_its_model(tmp_path: Path) -> None:
    with SearchSession.open(search_warehouse(tmp_path / "w", STATIC_MODEL_ID)) as session:
        assert model_of_warehouse(session.warehouse) == STATIC_MODEL_ID
        searcher = session.searcher("c1", None, None)
        assert searcher is not None
        assert searcher.index.embedded.size == 3
        asked = ["Who keeps bees?"]
        wanted = LocalModels().embed(asked, STATIC_MODEL_ID)
        assert np.array_equal(session.embed(asked), wanted)
        (first, *_) = session.search(asked[0], conversation="c1")
        assert first.text == TALK["c1"][0]


@pytest.mark.slow
def test_of_two_models_the_last_runs_counts(tmp_path: Path) -> None:
    path = search_warehouse(tmp_path / "w", STATIC_MODEL_ID, MODEL_ID)
    with open_warehouse(path) as warehouse:
        commit(
            warehouse, [], [upsert("runs", pa.concat_tables([_run(STATIC, 1), _run(MINILM, 2)]))]
        )
        assert model_of_warehouse(warehouse) == MODEL_ID
    with SearchSession.open(path) as session:
        reached = session.searcher("c2", None, None)
        behind = session.searcher("c1", None, None)
        assert reached is not None
        assert behind is not None
        assert (reached.index.embedded.size, behind.index.embedded.size) == (2, 0)
        assert session.search("jars of honey", conversation="c1")[0].text == TALK["c1"][1]
    with open_warehouse(path) as warehouse:
        commit(warehouse, [], [upsert("runs", _run(STATIC, 3))])
        assert model_of_warehouse(warehouse) == STATIC_MODEL_ID


def test_an_empty_warehouse_has_the_default(tmp_path: Path) -> None:
    with open_warehouse(tmp_path / "w") as warehouse:
        assert model_of_warehouse(warehouse) == MODEL_ID


def test_vectors_of_a_model_that_is_not_here_are_refused(tmp_path: Path) -> None:
    path = search_warehouse(tmp_path / "w", STATIC_MODEL_ID)
    with open_warehouse(path) as warehouse:
        rows = read_table(warehouse, "embeddings", None)
        place = rows.schema.get_field_index("model_id")
        other = rows.set_column(place, rows.schema.field(place), [["other@1"] * len(rows)])
        keys = rows.select(list(TABLES["embeddings"].key))
        commit(warehouse, [ChangeSet("embeddings", deletes=keys, inserts=other)])
    with SearchSession.open(path) as session, pytest.raises(ModelUnavailableError, match="other"):
        session.search("bees")


@pytest.mark.slow
def test_a_rebuild_reuses_recorded_vectors_of_the_plans_model(tmp_path: Path) -> None:
    with open_warehouse(search_warehouse(tmp_path / "w", STATIC_MODEL_ID)) as warehouse:
        messages = read_table(warehouse, "messages", None)
        made = rebuilder(STATIC)(warehouse, messages)
        commit(warehouse, [ChangeSet("embeddings", inserts=_marked(made["embeddings"]))])
        again = rebuilder(STATIC)(warehouse, messages)
    assert _by_text(again["embeddings"]) == _by_text(_marked(made["embeddings"]))


def _marked(rows: pa.Table) -> pa.Table:
    """Other vectors, as another machine may have given them."""
    place = rows.schema.get_field_index("vector")
    moved = pa.array(
        list(np.eye(384, dtype=np.float32)[: len(rows)]), rows.schema.field(place).type
    )
    return rows.set_column(place, rows.schema.field(place), moved)


def _by_text(rows: pa.Table) -> dict[tuple[str, str], list[float]]:
    return {(r["conversation_id"], r["text_hash"]): r["vector"] for r in rows.to_pylist()}


def _run(used: Plan, hour: int) -> pa.Table:
    """The row of a run."""
    row = {
        "run_id": f"run_{hour}",
        "job": "run",
        "pipeline": used.name,
        "fingerprint": used.fingerprint,
        "plan": json.dumps(plan_record(used)),
        "pipeline_spec": plan_spec(used),
        "input": "talk",
        "started_at": datetime(2026, 1, 1, hour, tzinfo=UTC),
        "finished_at": datetime(2026, 1, 1, hour, tzinfo=UTC),
        "status": "running",
        "counters": "{}",
    }
    return pa.Table.from_pylist([row], schema=TABLES["runs"].schema)
