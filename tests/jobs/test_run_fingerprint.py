"""Invariant 8: a changed step is recomputed with what lies downstream, and nothing else."""

import json
import shutil
from pathlib import Path

import pytest

from tests.jobs.builds import (
    build_here,
    computed,
    digest_at,
    pipeline_copy,
    sample_lines,
    write_log,
)
from tests.jobs.processes import cli

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_here")]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, ray_here: None) -> Path:
    folder = tmp_path_factory.mktemp("fingerprint")
    write_log(folder / "log.jsonl", sample_lines())
    build_here(folder / "base", folder / "log.jsonl")
    return folder


@pytest.mark.parametrize(
    ("change", "first", "untouched"),
    [
        ((r"threshold: \S+", "threshold: 0.55"), "deduplicate", {"extract", "embed"}),
        ((r" gap: \S+", " gap: 1m"), "sessions", set[str]()),
        ((r"(summarizer:.*?max_chars:) \S+", r"\1 120"), "tree", {"extract", "embed", "evolve"}),
    ],
    ids=["deduplicate", "sessions", "tree"],
)
def test_explain_predicts_what_run_recomputes(
    change: tuple[str, str], first: str, untouched: set[str], work: Path, tmp_path: Path
) -> None:
    warehouse = Path(shutil.copytree(work / "base", tmp_path / "w"))
    pipeline = pipeline_copy(tmp_path / "p.yaml", change)

    predicted = predicted_steps(pipeline, warehouse)
    report = build_here(warehouse, work / "log.jsonl", pipeline=pipeline)

    assert first in predicted
    assert predicted == computed(report)
    assert not predicted & untouched
    assert predicted_steps(pipeline, warehouse) == set()
    fresh = build_here(tmp_path / "fresh", work / "log.jsonl", pipeline=pipeline)
    assert digest_at(warehouse) == digest_at(tmp_path / "fresh")
    if first != "deduplicate":  # There may be no near duplicates among so few facts.
        assert digest_at(warehouse) != digest_at(work / "base")
    if "embed" in untouched:
        assert report["counters"]["model_calls"]["answered"] == 0
    assert fresh["counters"]["model_calls"]["answered"] > 0


def test_what_is_no_content_recomputes_nothing(work: Path, tmp_path: Path) -> None:
    pipeline = pipeline_copy(
        tmp_path / "p.yaml",
        (r"\A", "# One more comment.\n"),
        (r"(?<=^description: >-\n)", "  Some more words.\n"),
        (r"slice_chars: \S+", "slice_chars: 5000"),
        (r"workers: \S+", "workers: 2"),
        (r"^name: \S+", "name: another_name"),
    )
    before = digest_at(work / "base")

    assert predicted_steps(pipeline, work / "base") == set()
    done = cli("run", pipeline, "--input", work / "log.jsonl", "-w", work / "base")

    assert done.code == 0, done.stderr
    assert "nothing to do" in done.stdout
    assert digest_at(work / "base") == before


def predicted_steps(pipeline: Path, warehouse: Path) -> set[str]:
    done = cli("explain", pipeline, "--warehouse", warehouse, "--json")
    assert done.code == 0, done.stderr
    changes = json.loads(done.stdout)["changes"]
    return {change["step"] for change in changes if change["status"] == "recompute"}
