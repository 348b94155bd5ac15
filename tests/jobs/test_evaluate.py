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
    assert report["easy"] == {"questions": 1, **dict.fromkeys(METRICS, 100.0)}
    assert isinstance(report["easy"]["questions"], int)
    assert report["hard"]["recall@10"] == 50.0
    assert report["hard"]["all_evidence@10"] == 0.0
    assert report["overall"]["recall@10"] == 75.0
    assert "overall" in render(report)


def test_no_evidence_at_all(folder: Path, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "q.jsonl", question("1", "honey"))
    with SearchSession.open(folder) as session, pytest.raises(UsageError, match="evidence"):
        evaluate(session, path)


def test_questions_about_other_logs_are_told(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known, any_ = question("1", "honey", evidence=["c1/1"]), {"conversation_id": None}
    strange = known | {"question_id": "2", "conversation_id": "c9"}
    other = known | {"question_id": "3", "tenant": "other"}
    with SearchSession.open(folder) as session:
        evaluate(session, write_lines(tmp_path / "q.jsonl", known, known | any_))
        assert capsys.readouterr().err == ""
        report = evaluate(session, write_lines(tmp_path / "q.jsonl", known, strange, other))
    assert report["overall"]["recall@10"] == 33.3
    assert "2 of 3 questions are about conversations that are not" in capsys.readouterr().err


def test_ranked_messages_are_distinct(folder: Path) -> None:
    with SearchSession.open(folder) as session:
        results = session.search("bees", conversation="c1")
    assert ranked_messages([*results, *results]) == ranked_messages(results)
