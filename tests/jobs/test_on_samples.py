"""The bundled samples, built for real in this process: tree, search, evaluation, time travel."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pyarrow as pa
import pytest

from jobs.errors import UsageError
from jobs.evaluate import evaluate
from jobs.last_plan import last_plan
from jobs.local_models import LocalModels
from jobs.search import SearchSession
from jobs.tree import SCOPES, TreeQuery, render_tree, tree_json
from operators.memtree.node_text import Scope
from pipelines.plan import plan, plan_record, plan_spec
from pipelines.slice_build import build_slice
from schemas.tables import TABLES
from tests.jobs.builds import SAMPLES
from transforms.sources.files import expand_inputs, read_blocks
from transforms.warehouse.commit import commit, upsert
from transforms.warehouse.connection import open_warehouse

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples") / "warehouse"
    using = plan("conversation_memory")
    blocks = [b for f in expand_inputs(str(SAMPLES / "logs")) for b in read_blocks(f)]
    messages = pa.concat_tables([block.messages for block in blocks])
    result = build_slice(messages, [], None, using.steps, LocalModels())
    run = {
        "run_id": "run_test",
        "job": "run",
        "pipeline": using.name,
        "fingerprint": using.fingerprint,
        "plan": json.dumps(plan_record(using)),
        "pipeline_spec": plan_spec(using),
        "input": "samples",
        "started_at": NOW,
        "finished_at": NOW,
        "status": "done",
        "counters": "{}",
    }
    with open_warehouse(folder) as warehouse:
        row = pa.Table.from_pylist([run], schema=TABLES["runs"].schema)
        commit(warehouse, result.changes, [upsert("runs", row)])
    return folder


def test_a_tree_drills_down_from_all_to_the_facts(samples: Path):
    with open_warehouse(samples, read_only=True) as warehouse:
        query = TreeQuery("friends", "conversation", None, 20)
        (root,) = json.loads(tree_json(warehouse, query))
        facts = warehouse.rows(
            "SELECT count(*) FROM facts WHERE conversation_id = 'friends' AND status <> 'duplicate'"
        )[0][0]
        outline = render_tree(warehouse, query)

    def leaves(node: dict) -> int:
        return len(node["facts"]) + sum(map(leaves, node["children"]))

    assert root["leaf_count"] == facts == leaves(root)
    assert root["start_time"].endswith("Z")
    assert set(SCOPES) == set(get_args(Scope))
    assert outline.count("\n") > facts


def test_an_entity_tree_is_found_by_name(samples: Path):
    with open_warehouse(samples, read_only=True) as warehouse:
        (root,) = json.loads(tree_json(warehouse, TreeQuery("friends", "entity", "lenka", 9)))
    assert root["leaf_count"] > 2


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        (
            TreeQuery("friends", "entity", "Zork", 3),
            "no entity tree of 'Zork' there; see the trees",
        ),
        (TreeQuery("nobody", "conversation", None, 3), "no conversation 'nobody' in the warehouse"),
        (TreeQuery("friends", "session", None, 3, "x"), "no conversation 'friends' of tenant 'x'"),
        (TreeQuery("friends", "foo", None, 3), "there are conversation, session, entity, scene"),
    ],
)
def test_a_missing_tree_says_where_to_look(samples: Path, query: TreeQuery, problem: str):
    with (
        open_warehouse(samples, read_only=True) as warehouse,
        pytest.raises(UsageError, match=problem),
    ):
        render_tree(warehouse, query)


@pytest.mark.parametrize("name", ["questions_a.jsonl", "questions_b.jsonl"])
def test_questions_find_their_evidence(samples: Path, name: str):
    with SearchSession.open(samples) as session:
        report = evaluate(session, SAMPLES / name)
    assert report["overall"]["recall@10"] > 70


def test_as_of_hides_what_was_said_later(samples: Path):
    moment = datetime(2025, 3, 1, tzinfo=UTC)
    with SearchSession.open(samples) as session:
        results = session.search(
            "Where does Nora live?", conversation="friends", as_of=moment, k=50
        )
    assert results
    assert all(result.event_time <= moment for result in results)


def test_the_recorded_pipeline_gives_the_same_plan(samples: Path):
    with open_warehouse(samples, read_only=True) as warehouse:
        assert last_plan(warehouse).fingerprint == plan("conversation_memory").fingerprint


def test_every_text_of_a_fact_has_a_vector_and_a_recorded_call(samples: Path):
    with open_warehouse(samples, read_only=True) as warehouse:
        counts = warehouse.rows(
            "SELECT (SELECT count(DISTINCT (conversation_id, text)) FROM facts), "
            "(SELECT count(*) FROM embeddings), (SELECT count(*) FROM artifacts), "
            "(SELECT min(tokens_in) FROM artifacts)"
        )
    facts, vectors, calls, tokens = counts[0]
    assert facts == vectors == calls
    assert tokens > 0
