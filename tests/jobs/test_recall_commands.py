"""`search` and `eval` as typed."""

import json
from pathlib import Path

import pytest

from jobs.commands.recall import register
from jobs.errors import UsageError
from tests.jobs.builds import rows_at
from tests.jobs.commands_here import printed
from tests.jobs.search_samples import search_warehouse, write_lines

pytestmark = pytest.mark.slow  # Many builds and commits.


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return search_warehouse(tmp_path_factory.mktemp("commands") / "warehouse")


def run(*arguments: object) -> str:
    return printed(register, *arguments)


def test_plain_output_with_context(folder: Path) -> None:
    shown = run("search", "jars of honey", "-w", folder, "-k", 1, "--tier", "targeted")
    assert shown.splitlines()[0] == "  1. [2024-01-01 00:01] The bees gave nine jars of honey."
    shown = run("search", "jars of honey", "-w", folder, "-k", 1, "--context", 1)
    assert shown.splitlines()[2:] == [
        "       | [2024-01-01 00:00] Ann: I keep bees behind the mill.",
        "       | [2024-01-01 00:02] Ann: Rain all day.",
    ]
    archived = run("search", "honey", "-w", folder, "--archive", "retention < 0.05")
    assert archived == "nothing found\n"


def test_json_output_within_a_budget(folder: Path) -> None:
    plain = json.loads(run("search", "bees", "-w", folder, "--json", "--tier", "targeted"))
    assert {row["tier"] for row in plain} == {"targeted"}
    assert "context" not in plain[0]
    few = json.loads(
        run("search", "bees", "-w", folder, "--json", "--tier", "targeted", "--max-tokens", 20)
    )
    assert few == plain[: len(few)]
    assert 0 < len(few) < len(plain)
    deep = json.loads(run("search", "bees", "-w", folder, "--json", "--tier", "deep"))
    assert {row["tier"] for row in deep} == {"deep"}
    assert all("context" in row for row in deep)


def test_accesses_are_logged_only_when_told_to(folder: Path, tmp_path: Path) -> None:
    questions = write_lines(tmp_path / "q.jsonl", {"question_id": "q", "question": "lens"})
    run("search", "lens", "-w", folder, "-k", 2)
    assert rows_at(folder, "accesses", "rank") == []
    run("search", "lens", "-w", folder, "-k", 2, "--log-access")
    assert rows_at(folder, "accesses", "rank") == [(1,), (2,)]
    run("search", "--batch", questions, "-w", folder, "-k", 1, "--log-access")
    assert rows_at(folder, "accesses", "rank") == [(1,), (1,), (2,)]


def test_eval_takes_a_tier(folder: Path, tmp_path: Path) -> None:
    line = {"question_id": "q", "question": "jars of honey", "evidence": ["c1/1"]}
    questions = write_lines(tmp_path / "q.jsonl", line)
    for tier in ("auto", "deep"):
        report = json.loads(
            run("eval", "--questions", questions, "-w", folder, "--tier", tier, "--json")
        )
        assert report["overall"]["recall@5"] == 100


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--tier", "shallow"], "there are auto, profile, targeted, deep"),
        (["--without", "smell"], "no channel 'smell'"),
        (["--archive", "colour = 'red'"], "over tenant, .*tier"),
        (["--as-of", "soon"], "not a time"),
    ],
)
def test_wrong_use(folder: Path, options: list[str], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        run("search", "honey", "-w", folder, *options)


@pytest.mark.parametrize(
    ("more", "problem"),
    [(["honey"], "not both"), (["--asked-at", "2025-01-31T09:00:00Z"], "each line has 'asked_at'")],
)
def test_nothing_is_ignored_beside_a_batch(
    folder: Path, tmp_path: Path, more: list[str], problem: str
) -> None:
    questions = write_lines(tmp_path / "q.jsonl", {"question_id": "q", "question": "lens"})
    with pytest.raises(UsageError, match=problem):
        run("search", "--batch", questions, "-w", folder, *more)


def test_a_question_is_needed(folder: Path) -> None:
    with pytest.raises(UsageError, match="give a question"):
        run("search", "-w", folder)
