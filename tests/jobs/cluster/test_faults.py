"""A build over three nodes, and what is lost of it: the same memory, and no call paid twice."""

import re
from pathlib import Path

import psutil
import pytest

from jobs.llm_gateways import ANSWERS_DIR
from operators.llm.journal import AnswerJournal
from tests.jobs.builds import build_here, digest_at, rows_at, write_log
from tests.jobs.cluster.conftest import IN_FLIGHT, NODES, Work
from tests.jobs.cluster.runs import EmbeddingsCounted, submitted
from tests.jobs.cluster.texts import long_messages, sessions_only
from tests.jobs.processes import RUN_SECONDS, Running, wait_until
from tests.servers.ray_nodes import RayNodes
from transforms.warehouse.connection import JOURNAL_DIR, METADATA, open_warehouse
from transforms.warehouse.staging import STAGING_DIR

pytestmark = pytest.mark.slow

PER_FILE = 120


def test_three_nodes_make_what_one_does(cluster: RayNodes, work: Work, tmp_path: Path) -> None:
    """With every insert written as Parquet by the worker that computed it."""
    warehouse = tmp_path / "w"
    work.endpoint.reset()
    with EmbeddingsCounted(warehouse, tmp_path / "kept") as embedded:
        with submitted(cluster, *work.arguments(warehouse, "--stage-mib", 0)) as run:
            run.wait_for_line("engine ready")
            at_work = [n for n in cluster.alive if cluster.processes(n, "ray::SliceWorker")]
            done = run.finish()
        assert done.code == 0, done.stderr
        assert len(at_work) > 1
        assert digest_at(warehouse) == digest_at(work.whole)
        assert work.endpoint.stats()["calls"] == work.calls
        assert work.endpoint.stats()["repeated_calls"] == 0
        assert embedded.twice() == 0
        texts = {text for (text,) in rows_at(warehouse, "embeddings", "text_hash")}
        assert set(embedded.times()) == texts
    check_files(warehouse)
    with open_warehouse(warehouse, read_only=True) as opened:
        tables = opened.rows(
            f"SELECT count(DISTINCT table_id) FROM {METADATA}.ducklake_data_file "
            "WHERE contains(path, 'staged-')"
        )
    assert tables[0][0] > 10


def test_a_node_is_killed(cluster: RayNodes, work: Work, tmp_path: Path) -> None:
    """With its slice worker, its embedders and the messages that it had read."""
    warehouse = tmp_path / "w"
    work.endpoint.reset()
    with EmbeddingsCounted(warehouse, tmp_path / "kept") as embedded:
        with submitted(cluster, *work.arguments(warehouse, "--stage-mib", 0)) as run:
            wait_for_answers(run, warehouse, 10)
            cluster.kill(busy_node(cluster, run))
            done = run.finish()
        assert done.code == 0, done.stderr
        assert "is built again" in done.stderr
        assert digest_at(warehouse) == digest_at(work.whole)
        assert work.endpoint.stats()["repeated_calls"] == 0  # The gateway is on the driver's node.
        assert embedded.twice() == 0
    check_files(warehouse)


def test_messages_that_went_with_a_node_are_read_again(
    cluster: RayNodes, tmp_path: Path, ray_here: None
) -> None:
    """Large ones, since small objects travel with their references."""
    for part in range(NODES):
        write_log(
            tmp_path / "log" / f"{part}.jsonl", long_messages(PER_FILE, conversations=40, seed=part)
        )
    pipeline = sessions_only(tmp_path / "p.yaml", slice_chars=200_000)
    there = ["run", pipeline, "--input", tmp_path / "log", "--workers", NODES]
    with submitted(cluster, *there, "-w", tmp_path / "there") as run:
        run.wait_for_line("messages read")
        cluster.kill(busy_node(cluster, run))
        done = run.finish()
    assert done.code == 0, done.stderr
    assert re.search("ObjectLost|ObjectReconstruction|OwnerDied", done.stderr), done.stderr
    build_here(tmp_path / "here", tmp_path / "log", pipeline=pipeline)
    assert digest_at(tmp_path / "there") == digest_at(tmp_path / "here")
    assert len(rows_at(tmp_path / "there", "messages", "message_id")) == NODES * PER_FILE


def test_actors_are_killed(cluster: RayNodes, work: Work, tmp_path: Path) -> None:
    """A slice worker, an embedder, and the gateway with all calls in flight."""
    warehouse = tmp_path / "w"
    work.endpoint.reset()
    with EmbeddingsCounted(warehouse, tmp_path / "kept") as embedded:
        with submitted(cluster, *work.arguments(warehouse)) as run:
            wait_for_answers(run, warehouse, 10)
            find(cluster, run, "ray::EmbedderActor").kill()
            find(cluster, run, "ray::SliceWorker.build").kill()
            wait_for_answers(run, warehouse, 40)
            find(cluster, run, "ray::GatewayActor").kill()
            done = run.finish()
        assert done.code == 0, done.stderr
        assert "is built again" in done.stderr
        assert digest_at(warehouse) == digest_at(work.whole)
        assert work.endpoint.stats()["repeated_calls"] <= IN_FLIGHT
        assert embedded.twice() == 0
    check_files(warehouse)


def test_the_driver_is_killed_and_the_job_submitted_again(
    cluster: RayNodes, work: Work, tmp_path: Path
) -> None:
    warehouse = tmp_path / "w"
    arguments = work.arguments(warehouse, "--stage-mib", 0, "--commit-mib", 0.01)
    work.endpoint.reset()
    with EmbeddingsCounted(warehouse, tmp_path / "kept") as embedded:
        with submitted(cluster, *arguments) as run:
            run.wait_for_line("^commit 2: snapshot")
            run.kill()
        assert (warehouse / STAGING_DIR).is_dir()
        assert 0 < work.endpoint.stats()["calls"] < work.calls
        with submitted(cluster, *arguments) as run:
            done = run.finish()
        assert done.code == 0, done.stderr
        assert digest_at(warehouse) == digest_at(work.whole)
        assert work.endpoint.stats()["repeated_calls"] <= IN_FLIGHT
        assert embedded.twice() == 0
    check_files(warehouse)


def check_files(warehouse: Path) -> None:
    """Every file is part of the lake, and no trace of staging is left."""
    with open_warehouse(warehouse, read_only=True) as opened:
        listed = {
            path.rsplit("/", 1)[-1]
            for (path,) in opened.rows(f"SELECT path FROM {METADATA}.ducklake_data_file")
        }
        present = {file.name for file in opened.data_path.rglob("*.parquet")}
    assert {name for name in present if name.startswith("staged-")} <= listed
    assert not (warehouse / STAGING_DIR).exists()


def wait_for_answers(run: Running, warehouse: Path, wanted: int) -> None:
    journal = AnswerJournal(warehouse / JOURNAL_DIR / ANSWERS_DIR, "reader")
    wait_until(
        lambda: sum(1 for _ in journal.load()) >= wanted or run.ended,
        RUN_SECONDS,
        f"{wanted} answers in the journal",
    )
    assert not run.ended, "".join(run.lines)


def busy_node(cluster: RayNodes, run: Running) -> int:
    """A node, not the driver's, on which a slice is being built."""
    found: list[int] = []

    def look() -> bool:
        others = (node for node in cluster.alive if node != 0)
        found.extend(n for n in others if cluster.processes(n, "ray::SliceWorker.build"))
        return bool(found) or run.ended

    wait_until(look, RUN_SECONDS, "a slice on another node", pause=0.005)
    assert found, "".join(run.lines)
    return found[0]


def find(cluster: RayNodes, run: Running, title: str) -> psutil.Process:
    found: list[psutil.Process] = []

    def look() -> bool:
        found.extend(p for node in cluster.alive for p in cluster.processes(node, title))
        return bool(found) or run.ended

    wait_until(look, RUN_SECONDS, f"a process '{title}'", pause=0.005)
    assert found, "".join(run.lines)
    return found[0]
