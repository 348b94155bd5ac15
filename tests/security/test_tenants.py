"""Two tenants with the same ids, names and questions: neither ever sees the other."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.errors import UsageError
from jobs.forget import Target, forget
from jobs.local_models import LocalModels
from jobs.search import SearchSession, search_batch
from jobs.tree import TreeQuery, tree_json
from jobs.why import UnknownIdError, why
from operators.embedding.host import EmbedderHost
from operators.embedding.minilm import MiniLm
from operators.parse.jsonl import parse_jsonl
from pipelines.plan import plan
from pipelines.slice_build import build_slice
from transforms.warehouse.commit import commit
from transforms.warehouse.connection import Warehouse, open_warehouse
from transforms.warehouse.read import read_table

pytestmark = pytest.mark.slow

# The same people, conversation, message ids and times: only the tenant and some words differ.
SAID = {
    "red": ["I work at the harbour now.", "My dog is called Rufus.", "I live in Oslo."],
    "blue": ["I work at the bakery now.", "My dog is called Fido.", "I live in Lima."],
}
SECRETS = {"red": ("harbour", "Rufus", "Oslo"), "blue": ("bakery", "Fido", "Lima")}
OTHER = {"red": "blue", "blue": "red"}


def lines(*tenants: str) -> list[bytes]:
    return [
        json.dumps(
            {
                "tenant": tenant,
                "conversation_id": "c1",
                "message_id": f"m{number}",
                "speaker": "Ana",
                "timestamp": f"2024-03-01T10:0{number}:00Z",
                "text": text,
            }
        ).encode()
        for tenant in tenants
        for number, text in enumerate(SAID[tenant])
    ]


def fill(path: Path, *tenants: str) -> Path:
    """A warehouse with the whole memory of these tenants, built in this process."""
    read = parse_jsonl(enumerate(lines(*tenants), 1), "log.jsonl")
    steps = plan("conversation_memory").steps
    models = LocalModels(EmbedderHost(MiniLm(), None))
    built = build_slice(read.messages, (), None, steps, models)
    with open_warehouse(path) as warehouse:
        commit(warehouse, built.changes)
    return path


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("both") / "w", "red", "blue")


@pytest.fixture
def warehouse(both: Path) -> Iterator[Warehouse]:
    with open_warehouse(both, read_only=True) as opened:
        yield opened


def assert_silent(of: str, shown: Any) -> None:
    """Nothing that only the other tenant said is in what is shown."""
    text = json.dumps(shown, default=str)
    found = [word for word in SECRETS[OTHER[of]] if word.lower() in text.lower()]
    assert not found, (of, found)


@pytest.mark.parametrize("tenant", SAID)
def test_search_answers_from_one_tenant(both: Path, tmp_path: Path, tenant: str) -> None:
    """Scores, too: they are those of a warehouse that holds this tenant alone."""
    questions = ("Where does Ana work?", "What is the dog called?", "harbour bakery Rufus Fido")
    with (
        SearchSession.open(both) as shared,
        SearchSession.open(fill(tmp_path / "alone", tenant)) as alone,
    ):
        for question in questions:
            here = [r.as_json() for r in shared.search(question, tenant=tenant)]
            assert here
            assert here == [r.as_json() for r in alone.search(question)]
            assert_silent(tenant, here)


def test_a_search_without_tenant_is_refused_where_several_have_it(
    both: Path, tmp_path: Path
) -> None:
    questions = tmp_path / "q.jsonl"
    questions.write_text('{"question_id": "1", "question": "the dog?", "conversation_id": "c1"}\n')
    with SearchSession.open(both) as session:
        for conversation in (None, "c1"):
            with pytest.raises(UsageError, match=r"several tenants: 'blue', 'red'; give --tenant"):
                session.search("the dog?", conversation=conversation)
        with pytest.raises(UsageError, match="several tenants"):
            list(search_batch(session, questions))
        (answered,) = search_batch(session, questions, tenant="red")
    assert "Rufus" in json.dumps(answered)
    assert_silent("red", answered)


@pytest.mark.parametrize("tenant", SAID)
def test_why_and_tree_show_one_tenant(warehouse: Warehouse, tenant: str) -> None:
    for message in ("m0", "m1", "m2"):
        with pytest.raises(UsageError, match=r"message 'm.' is of several tenants"):
            why(warehouse, message)
        shown = [e.to_json() for e in why(warehouse, message, tenant=tenant)]
        assert len(shown) == 1
        assert_silent(tenant, shown)
    with pytest.raises(UsageError, match="tree is of several tenants"):
        tree_json(warehouse, TreeQuery("c1", "conversation", None, 9))
    assert_silent(tenant, tree_json(warehouse, TreeQuery("c1", "conversation", None, 9, tenant)))


def test_the_id_of_another_tenant_is_not_known_nor_suggested(warehouse: Warehouse) -> None:
    rows = read_table(warehouse, "facts", ["tenant", "fact_id"]).to_pylist()
    theirs = next(row["fact_id"] for row in rows if row["tenant"] == "blue")
    with pytest.raises(UnknownIdError) as unknown:
        why(warehouse, theirs, tenant="red")
    assert theirs not in str(unknown.value).replace(repr(theirs), "", 1)


def test_ids_of_two_tenants_differ(warehouse: Warehouse) -> None:
    """What is named by content is named by tenant, too; so no join can mix them."""
    for table, column in (
        *(("facts", "fact_id"), ("cells", "cell_id"), ("sessions", "session_id")),
        *(("entities", "entity_id"), ("episodes", "episode_id"), ("personas", "persona_id")),
        *(("memtree_nodes", "tree_id"), ("links", "link_id")),
    ):
        rows = read_table(warehouse, table, ["tenant", column]).to_pylist()
        ids = {tenant: {r[column] for r in rows if r["tenant"] == tenant} for tenant in SAID}
        assert not ids["red"] & ids["blue"], table


@pytest.mark.parametrize(
    "view",
    ["memories", "memories_as_of('2030-01-01')", "provenance", "timeline",
     "memory_heat('2030-01-01')", "current_messages"],
)  # fmt: skip
def test_views_keep_tenants_apart(warehouse: Warehouse, view: str) -> None:
    for tenant in SAID:
        rows = warehouse.query(f"FROM {view} WHERE tenant = '{tenant}'").to_pylist()
        assert rows
        assert_silent(tenant, rows)


@pytest.mark.parametrize(
    "target",
    [Target("conversation", "c1"), Target("message", "m1"), Target("person", "Ana")],
)
def test_forget_asks_whose(both: Path, target: Target) -> None:
    with (
        open_warehouse(both, read_only=True) as opened,
        pytest.raises(UsageError, match=r"several tenants: .* give --tenant, or --all-tenants"),
    ):
        forget(opened, target, lambda *_: {}, dry_run=True)


def test_forget_takes_one_tenant_and_no_row_of_the_other(tmp_path: Path) -> None:
    path = fill(tmp_path / "w", "red", "blue")
    with open_warehouse(path) as opened:
        names = ("messages", "facts", "entities", "memtree_nodes", "embeddings", "stamps")
        before = {name: _of(opened, name, "blue") for name in names}
        forget(opened, Target("person", "Ana", tenant="red"), lambda *_: {})
        assert {name: _of(opened, name, "blue") for name in names} == before
        assert not _of(opened, "messages", "red")
        assert_silent("blue", [_of(opened, name, "red") for name in names])


def _of(warehouse: Warehouse, table: str, tenant: str) -> list[str]:
    rows = read_table(warehouse, table).to_pylist()
    return sorted(json.dumps(row, default=str) for row in rows if row["tenant"] == tenant)
