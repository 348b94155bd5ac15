import shutil
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from jobs.access_log import AccessLog
from jobs.digest import digest
from jobs.forget import Target, forget
from jobs.search import SearchSession, search_batch
from operators.recall.searcher import Result
from schemas.ids import content_hash
from tests.jobs.builds import digest_at, rows_at
from tests.jobs.search_samples import search_warehouse, write_lines
from tests.jobs.test_forget import leaks
from tests.operators.samples import at
from tests.transforms.warehouse.test_lock_handover import until
from transforms.warehouse.connection import open_warehouse
from transforms.warehouse.errors import WarehouseError
from transforms.warehouse.read import read_table

pytestmark = pytest.mark.slow  # Many small commits.


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return search_warehouse(tmp_path_factory.mktemp("accesses") / "warehouse")


@pytest.fixture
def folder(untouched: Path, tmp_path: Path) -> Path:
    return shutil.copytree(untouched, tmp_path / "warehouse")


def ask(folder: Path, question: str, **how: Any) -> list[Result]:
    with SearchSession.open(folder) as session:
        return session.search(question, **how)


def log_of(question: str, results: list[Result]) -> AccessLog:
    log = AccessLog()
    log.add(question, results)
    return log


def accesses(folder: Path) -> list[dict[str, Any]]:
    with open_warehouse(folder, read_only=True) as opened:
        return read_table(opened, "accesses").sort_by("rank").to_pylist()


def test_a_row_per_result_in_one_transaction(folder: Path) -> None:
    before = digest_at(folder)
    with open_warehouse(folder, read_only=True) as opened:
        snapshot = opened.current_snapshot()
    results = ask(folder, "honey", k=3)
    log = log_of("honey", results)
    log.add("bees", results[:1])
    assert log.write(folder) == 4
    assert log.write(folder) == 0  # What is written is not written again.
    with open_warehouse(folder, read_only=True) as opened:
        assert opened.current_snapshot() == snapshot + 1
    rows = [r for r in accesses(folder) if r["question_hash"] == content_hash("question", "honey")]
    assert [(r["memory_id"], r["message_id"], r["rank"]) for r in rows] == [
        (r.id, r.source_message_ids[0], r.rank) for r in results
    ]
    assert digest_at(folder) == before


def test_the_same_question_later_is_another_access(folder: Path) -> None:
    results = ask(folder, "honey", k=1)
    log = AccessLog()
    for minute in (0, 0, 1):
        log.add("honey", [*results, *results], at(minute))
    assert log.write(folder) == 2


def test_heat_counts_it(folder: Path) -> None:
    (found,) = ask(folder, "nine jars of honey", k=1)
    log = AccessLog()
    log.add("nine jars of honey", [found], at(10))
    log.write(folder)
    moment = (at(10) + timedelta(hours=1)).isoformat()
    with open_warehouse(folder, read_only=True) as opened:
        rows = opened.rows(
            f"SELECT fact_id, accesses, idle_hours FROM memory_heat(TIMESTAMPTZ '{moment}') "
            "WHERE accesses > 0"
        )
    assert rows == [(found.id, 1, 1.0)]


def test_a_batch_logs_all_its_questions(folder: Path, tmp_path: Path) -> None:
    lines = [{"question_id": q, "question": q} for q in ("bees", "lens")]
    log = AccessLog()
    with SearchSession.open(folder) as session:
        questions = write_lines(tmp_path / "q.jsonl", *lines)
        answers = list(search_batch(session, questions, k=2, log=log))
    assert log.write(folder) == sum(len(a["results"]) for a in answers) == 4


def test_what_is_forgotten_is_in_no_access(folder: Path) -> None:
    log = log_of("lens", ask(folder, "lens", conversation="c2"))
    log.add("honey", ask(folder, "honey", conversation="c1"))
    log.write(folder)
    assert leaks(folder, "c1/1")
    with open_warehouse(folder) as opened:
        forget(opened, Target("message", "c1/1"), lambda *_: {})
        assert digest(opened)["tables"]["messages"]["rows"] == 4
    assert {row["message_id"] for row in accesses(folder)} == {"c2/0", "c2/1"}
    assert leaks(folder, "c1/1") == []


def test_another_writer_hands_over(folder: Path) -> None:
    log = log_of("honey", ask(folder, "honey", k=2))
    with open_warehouse(folder) as stream:
        writing = threading.Thread(target=log.write, args=(folder,))
        writing.start()
        until(stream.wanted)
        stream.hand_over(timeout=60)
        writing.join(60)
        assert read_table(stream, "accesses").num_rows == 2


def test_another_writer_that_does_not(folder: Path) -> None:
    log = log_of("honey", ask(folder, "honey", k=1))
    with open_warehouse(folder), pytest.raises(WarehouseError, match="another process"):
        log.write(folder, lock_timeout=0.2)
    assert rows_at(folder, "accesses", "memory_id") == []
    assert log.write(folder) == 1
