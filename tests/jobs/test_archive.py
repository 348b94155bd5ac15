from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from jobs.archive import ArchiveRule
from jobs.errors import UsageError
from jobs.search import SearchOptions, SearchSession
from tests.jobs.search_samples import TALK, search_warehouse
from tests.operators.samples import at, fact, message, table
from tests.transforms.warehouse.rows import make_rows
from transforms.warehouse.commit import ChangeSet, commit
from transforms.warehouse.connection import Warehouse, open_warehouse

SCOPE = [("default", "c1"), ("default", "c2")]
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return search_warehouse(tmp_path_factory.mktemp("archive") / "warehouse")


@pytest.fixture(scope="module")
def warehouse(folder: Path) -> Iterator[Warehouse]:
    with open_warehouse(folder, read_only=True) as opened:
        yield opened


def fact_id(conversation: str, number: int) -> str:
    text = TALK[conversation][number]
    return fact(f"{conversation}/{number}", 0, text, conversation_id=conversation)["fact_id"]


def test_facts_that_the_condition_holds_for(warehouse: Warehouse) -> None:
    honey = ArchiveRule(warehouse, "text LIKE '%honey%' -- the sweet one")
    assert honey.archived(at(60), SCOPE) == {fact_id("c1", 1)}
    assert honey.archived(at(0), SCOPE) == frozenset()  # Not yet said.
    assert honey.archived(at(60), SCOPE[1:]) == frozenset()
    assert honey.archived(at(60), []) == frozenset()
    old = ArchiveRule(warehouse, "age_hours >= 1 AND accesses = 0 AND tier <> 'working'")
    assert old.archived(at(60), SCOPE[1:]) == {fact_id("c2", 0)}


@pytest.mark.parametrize(
    "condition",
    [
        "",
        "retention <",
        "no_such_column > 1",
        "retention",
        "importance + 1",
        "'a'",
        "true) OR (true, 1",
        "true), (true",
        "true) FROM facts WHERE (true",
        "true; DROP TABLE facts",
        "true) UNION SELECT fact_id FROM facts --",
        "fact_id IN (SELECT fact_id FROM facts)",
        "EXISTS (FROM read_text('/etc/hostname'))",
        "count(*) > 1",
        "row_number() OVER () > 1",
        "retention < ?",
        "retention < $1",
    ],
)
def test_only_one_boolean_expression(warehouse: Warehouse, condition: str) -> None:
    with pytest.raises(UsageError, match=r"over tenant, conversation_id, fact_id, .*retention"):
        ArchiveRule(warehouse, condition)


def test_search_without_what_is_archived(folder: Path) -> None:
    question = "Where are the bees and their honey?"
    with SearchSession.open(folder) as session:
        plain = session.search(question, k=4)
        options = SearchOptions(archive="text LIKE '%honey%' OR text LIKE '%lens%'")
        kept = session.search(question, k=2, options=options)
        every = session.search(question, k=9, options=options)
        nothing = session.search(question, k=3, options=SearchOptions(archive="true"))
    left = [r.id for r in plain if "honey" not in r.text and "lens" not in r.text]
    assert [r.id for r in every] == left
    assert [r.id for r in kept] == left[:2]
    assert [r.rank for r in kept] == [1, 2]
    assert nothing == []


@pytest.mark.slow
def test_messages_and_personas_that_rest_on_archived_facts_alone(tmp_path: Path) -> None:
    """What is superseded shows as a bare message, which has no id of a fact."""
    said = {"old": "Ann lives in Rome.", "new": "Ann lives in Oslo.", "bare": "Ann lives!"}
    facts = [
        fact(name, n, said[name], **{"message_id": name}, status=status)
        for n, (name, status) in enumerate([("old", "superseded"), ("new", "active")])
    ]
    heard = [message(name, n, text=text) for n, (name, text) in enumerate(said.items())]
    rows = {
        "messages": table("messages", heard),
        "facts": table("facts", facts),
        "personas": make_rows("personas", [{
            "conversation_id": "c", "person": "Ann", "kind": "attribute", "attribute": "home_city",
            "value": "Oslo", "status": "current", "confidence": 0.9,
            "evidence": [facts[1]["fact_id"]], "valid_from": None, "valid_to": None,
        }]),
    }  # fmt: skip
    with open_warehouse(tmp_path / "w") as opened:
        commit(opened, [ChangeSet(name, inserts=inserts) for name, inserts in rows.items()])
    found: dict[str, set[str]] = {}
    with SearchSession.open(tmp_path / "w") as session:
        for rule in ("false", "text LIKE '%Rome%'", "text LIKE '%Oslo%'", "true"):
            options = SearchOptions(archive=rule, tier="profile")
            results = session.search("Where does Ann live?", k=9, options=options)
            found[rule] = {f"{r.kind} {r.source_message_ids[0]}" for r in results}
    assert found == {
        "false": {"persona new", "message old", "message bare"},
        "text LIKE '%Rome%'": {"persona new", "message bare"},
        "text LIKE '%Oslo%'": {"message old", "message bare"},
        "true": {"message bare"},
    }


@pytest.mark.slow
def test_judged_at_the_time_of_the_question(folder: Path) -> None:
    """`as_of` before `asked_at` before now."""
    options = SearchOptions(archive="age_hours > 1")
    with SearchSession.open(folder) as session:
        found = {
            name: len(session.search("bees", conversation="c1", k=9, options=options, **times))
            for name, times in {
                "now": {},
                "asked": {"asked_at": at(30)},
                "as of": {"as_of": at(30), "asked_at": at(30) + 9 * HOUR},
            }.items()
        }
    assert found == {"now": 0, "asked": 3, "as of": 3}
