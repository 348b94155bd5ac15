"""Invariant 3: killed at any moment and run again: same digest, no answered call repeated."""

import re
from pathlib import Path

import pytest

from operators.embedding.journal import VectorJournal
from operators.embedding.model_id import DIMENSION, MODEL_ID
from tests.jobs.builds import build_here, digest_at, pipeline_copy, rows_at, sample_lines, write_log
from tests.jobs.processes import END_SECONDS, Running, killed, running, wait_until
from transforms.warehouse.connection import JOURNAL_DIR, open_warehouse

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_here")]

# Of short conversations, which make many slices: each kill leaves some for the next.
LINES = sample_lines(conversations_per_log=6)
NODE_AGENTS = "ray::(DashboardAgent|RuntimeEnvAgent)"


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, ray_here: None) -> Path:
    """A log, a pipeline with small slices, and the warehouse of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("kill")
    pipeline_copy(folder / "p.yaml", (r"slice_chars: \S+", "slice_chars: 1000"))
    write_log(folder / "log.jsonl", LINES)
    build_here(folder / "whole", folder / "log.jsonl")
    return folder


def arguments(work: Path, warehouse: Path, workers: int = 2) -> list[object]:
    options = ["--workers", workers, "--commit-mib", 0.01, "--json"]
    return ["run", work / "p.yaml", "--input", work / "log.jsonl", "-w", warehouse, *options]


def test_kill_at_commit_boundaries(work: Path, tmp_path: Path) -> None:
    """Three runs are killed one after the other on one warehouse, the fourth ends."""
    warehouse = tmp_path / "w"
    answered = 0
    for moment in ("1: writing", "2: snapshot", "2: writing"):
        at = f"^commit {moment}"
        options = arguments(work, warehouse, workers=1)
        with killed(
            warehouse,
            options,
            lambda run, at=at: run.has_said(at),
            (warehouse / JOURNAL_DIR).exists,
        ) as run:
            assert_no_orphans(run)
        assert len(journal(warehouse)) >= answered
        answered = len(journal(warehouse))
        assert_whole_slices(warehouse)
    assert answered > 0

    with running(*arguments(work, warehouse, workers=1)) as run:
        done = run.finish()

    assert done.code == 0, done.stderr
    assert digest_at(warehouse) == digest_at(work / "whole")
    assert not (warehouse / JOURNAL_DIR).exists()
    all_texts = {text for (text,) in rows_at(warehouse, "embeddings", "text_hash")}
    assert last_counter(warehouse, "model_calls", "answered") == len(all_texts) - answered


def test_killed_workers_are_replaced(work: Path, tmp_path: Path) -> None:
    warehouse = tmp_path / "w"
    with running(*arguments(work, warehouse)) as run:
        run.wait_for_line("engine ready")
        run.wait_for_child(r"^ray::SliceWorker.build").kill()
        run.wait_for_child(r"^ray::EmbedderActor").kill()
        done = run.finish()

    assert done.code == 0, done.stderr
    assert digest_at(warehouse) == digest_at(work / "whole")


def test_interrupt(work: Path, tmp_path: Path) -> None:
    with running(*arguments(work, tmp_path / "w")) as run:
        run.wait_for_line("engine ready")
        run.tree()
        run.wait_for_line("messages read")
        run.interrupt()
        done = run.finish()

        assert done.code == 130, done.stderr
        assert "interrupted" in done.stderr
        assert "Traceback" not in done.stderr
        assert_no_orphans(run)


def assert_no_orphans(run: Running) -> None:
    """Nothing that computes or writes is left behind.

    Ray's two node agents hold nothing of ours. They notice, too, but then try for 60 s to tell
    a control service that has gone with the driver; `running` ends them.
    """
    wait_until(lambda: not serving(run), END_SECONDS, "end of all processes", pause=0.3)


def serving(run: Running) -> list[str]:
    return [title for title in run.titles() if not re.match(NODE_AGENTS, title)]


def assert_whole_slices(warehouse: Path) -> None:
    """What is committed hangs together: no fact without its message, no half conversation."""
    messages = {(c, m) for c, m in rows_at(warehouse, "messages", "conversation_id", "message_id")}
    sources = rows_at(warehouse, "facts", "conversation_id", "message_id")
    assert messages.issuperset(sources)
    sizes = {line["conversation_id"]: 0 for line in LINES}
    for line in LINES:
        sizes[line["conversation_id"]] += 1
    for conversation in {c for c, _ in messages}:
        assert sum(c == conversation for c, _ in messages) == sizes[conversation]


def journal(warehouse: Path) -> set[str]:
    """Texts answered so far, as the next run will find them."""
    records = VectorJournal(warehouse / JOURNAL_DIR / MODEL_ID, "reader", DIMENSION).load()
    return {text_hash for text_hash, _ in records}


def last_counter(warehouse: Path, step: str, name: str) -> int:
    with open_warehouse(warehouse, read_only=True) as opened:
        rows = opened.rows(
            f"SELECT (counters->'counters'->'{step}'->>'{name}')::INT FROM runs "
            "WHERE status = 'done' ORDER BY started_at DESC LIMIT 1"
        )
    return int(rows[0][0])
