from pathlib import Path
from typing import Any

import pytest

from jobs.errors import UsageError
from jobs.evaluate import METRICS, evaluate, ranked_messages, render
from jobs.search import SearchSession
from tests.jobs.search_samples import search_warehouse, write_lines


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return search_warehouse(tmp_path_factory.mktemp("evaluate") / "warehouse")


def question(number: str, text: str, **more: Any) -> dict[str, Any]:
    return {"question_id": number, "conversation_id": "c1", "question": text} | more


def test_evaluate_by_category(folder: Path, tmp_path: Path) -> None:
    path = write_lines(
        tmp_path / "q.jsonl",
        question("1", "honey jars", category="easy", evidence=["c1/1"]),
        question("2", "bees", category="hard", evidence=["c1/0", "gone"]),
        question("3", "no evidence"),
    )
    with SearchSession.open(folder) as session:
        report = evaluate(session, path)
    assert list(report) == ["easy", "hard", "overall"]
    assert report["easy"] == {"questions": 1.0, **dict.fromkeys(METRICS, 100.0)}
    assert report["hard"]["recall@10"] == 50.0
    assert report["hard"]["all_evidence@10"] == 0.0
    assert report["overall"]["recall@10"] == 75.0
    assert "overall" in render(report)


def test_no_evidence_at_all(folder: Path, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "q.jsonl", question("1", "honey"))
    with SearchSession.open(folder) as session, pytest.raises(UsageError, match="evidence"):
        evaluate(session, path)


def test_ranked_messages_are_distinct(folder: Path) -> None:
    with SearchSession.open(folder) as session:
        results = session.search("bees", conversation="c1")
    assert ranked_messages([*results, *results]) == ranked_messages(results)
