import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.search import QuestionError, SearchSession, read_questions, search, search_batch
from tests.jobs.search_samples import search_warehouse, write_lines
from tests.operators.samples import at


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return search_warehouse(tmp_path_factory.mktemp("search") / "warehouse")


@pytest.fixture
def session(folder: Path) -> Iterator[SearchSession]:
    with SearchSession.open(folder) as opened:
        yield opened


def test_result_has_the_fields_of_the_contract(folder: Path) -> None:
    first, *rest = search(folder, "How much honey was there?", conversation="c1", k=2)
    assert first["source_message_ids"] == ["c1/1"]
    assert {"rank", "score", "kind", "id", "text", "event_time", "source_message_ids"} <= set(first)
    assert first["event_time"] == "2024-01-01T00:01:00Z"
    assert len(rest) == 1
    json.dumps(first)


def test_all_conversations_unless_one_is_given(session: SearchSession) -> None:
    best = session.search("telescope lens", k=1)[0]
    assert best.conversation_id == "c2"
    assert {r.conversation_id for r in session.search("telescope lens", conversation="c1")} == {
        "c1"
    }


def test_unknown_conversation_or_tenant_has_no_results(session: SearchSession) -> None:
    assert session.search("bees", conversation="nowhere") == []
    assert session.search("bees", tenant="nobody") == []


def test_as_of(session: SearchSession) -> None:
    results = session.search("honey", conversation="c1", as_of=at(0.5))
    assert [r.source_message_ids[0] for r in results] == ["c1/0"]


@pytest.mark.slow
def test_searchers_are_kept_up_to_a_limit(folder: Path) -> None:
    with SearchSession.open(folder, kept=1) as session:
        for conversation in ("c1", "c2", "c1"):
            assert session.search("bees", conversation=conversation)
        assert len(session._searchers) == 1
        session.refresh()
        assert not session._searchers


def test_batch_answers_in_order_as_single_questions_do(
    session: SearchSession, tmp_path: Path
) -> None:
    asked = [("q1", "c2", "What broke?"), ("q2", "c1", "Where are the bees?")]
    lines = [{"question_id": i, "conversation_id": c, "question": q} for i, c, q in asked]
    answers = list(search_batch(session, write_lines(tmp_path / "q.jsonl", *lines), k=2))
    assert [a["question_id"] for a in answers] == ["q1", "q2"]
    for answer, (_, conversation, question) in zip(answers, asked, strict=True):
        single = session.search(question, conversation=conversation, k=2)
        assert answer["results"] == [r.as_json() for r in single]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{oops", "not JSON"),
        ("[1]", "a JSON object"),
        ({"question_id": "q"}, "'question' is missing"),
        ({"question_id": "q", "question": "?", "conversation_id": 3}, "'conversation_id'"),
        ({"question_id": "q", "question": "?", "asked_at": "soon"}, "'asked_at'"),
        ({"question_id": "q", "question": "?", "asked_at": "2024-01-01T00:00:00"}, "time zone"),
        ({"question_id": "q", "question": "?", "evidence": "m1"}, "'evidence'"),
    ],
)
def test_bad_line_is_named(tmp_path: Path, line: dict[str, Any] | str, problem: str) -> None:
    path = write_lines(tmp_path / "q.jsonl", {"question_id": "q0", "question": "fine"}, line)
    with pytest.raises(QuestionError, match=rf"q\.jsonl:2: .*{problem}"):
        read_questions(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(QuestionError, match="No such file"):
        read_questions(tmp_path / "none.jsonl")
