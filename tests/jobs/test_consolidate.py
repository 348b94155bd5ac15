"""`memoryflow consolidate`: what was put off, or made by another plan, and nothing else."""

import json
import shutil
from pathlib import Path
from typing import Any

import orjson
import pytest

from jobs.batch import build as batch_build
from jobs.consolidate import ConsolidationReport, consolidate
from jobs.last_plan import last_plan
from operators.parse.jsonl import parse_jsonl
from pipelines.deferral import consolidation_start
from pipelines.plan import plan, plan_spec
from pipelines.slice_build import build_slice
from pipelines.slice_changes import WHOLE_PLAN
from tests.jobs.builds import (
    Lines,
    build_here,
    digest_at,
    pipeline_copy,
    rows_at,
    sample_lines,
    write_log,
)
from tests.jobs.processes import RUN_SECONDS, cli, running, wait_until
from tests.jobs.stream.here import Recorded, append, models
from transforms.frame import conversations_of
from transforms.warehouse.commit import commit
from transforms.warehouse.connection import open_warehouse
from transforms.warehouse.read import read_table

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_here")]

LINES = sample_lines(per_log=24, conversations_per_log=1)
TALKS = sorted({line["conversation_id"] for line in LINES})
TREE = (r"(summarizer:.*?max_chars:) \S+", r"\1 120")
STREAMED = (
    (r"consolidate: \S+", "consolidate: session_end"),
    (r"allowed_lateness: \S+", "allowed_lateness: 3650d"),
)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, ray_here: None) -> Path:
    folder = tmp_path_factory.mktemp("consolidate")
    build_here(folder / "base", write_log(folder / "log.jsonl", LINES))
    return folder


@pytest.fixture(scope="module")
def other_trees(work: Path) -> Path:
    """What another pipeline makes of the same log: only its trees differ."""
    pipeline = pipeline_copy(work / "trees.yaml", TREE)
    build_here(work / "trees", work / "log.jsonl", pipeline=pipeline)
    return work / "trees"


@pytest.fixture
def warehouse(work: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(work / "base", tmp_path / "w"))


def consolidated(
    warehouse: Path, pipeline: Path | None = None, conversation: str | None = None
) -> ConsolidationReport:
    with open_warehouse(warehouse) as opened:
        using = plan(pipeline) if pipeline else last_plan(opened)
        return consolidate(opened, using, workers=1, conversation=conversation)


def later() -> list[str]:
    """Steps that a stream puts off."""
    steps = plan("conversation_memory").steps
    return [step.id for step in steps[consolidation_start(steps) :]]


def computed(report: ConsolidationReport) -> list[str]:
    return [name for name, step in report.steps.items() if step.computed]


def defer_here(warehouse: Path, lines: Lines) -> None:
    """What a stream does of messages whose session is still open."""
    rows = parse_jsonl(enumerate(map(orjson.dumps, lines), 1), "test").messages
    with open_warehouse(warehouse) as opened:
        steps = plan("conversation_memory").steps
        talks = conversations_of(rows)
        result = build_slice(rows, [], Recorded(opened), steps, models(), defer=talks)
        assert result.deferred == set(talks)
        commit(opened, result.changes)


def no_ray(*_: object) -> None:
    raise AssertionError("Ray was started")


def test_nothing_behind_starts_and_writes_nothing(
    warehouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_build, "ray_session", no_ray)
    runs = rows_at(warehouse, "runs", "run_id")

    report = consolidated(warehouse)

    assert report == ConsolidationReport()
    assert "nothing to do" in report.to_text()
    assert rows_at(warehouse, "runs", "run_id") == runs


def test_what_a_stream_put_off_is_made_up_for(tmp_path: Path, work: Path) -> None:
    warehouse = tmp_path / "w"
    first = [line for line in LINES if line["conversation_id"] == TALKS[0]]
    others = [line for line in LINES if line["conversation_id"] != TALKS[0]]
    build_here(warehouse, write_log(tmp_path / "first.jsonl", [*others, *first[:12]]))
    defer_here(warehouse, first[12:])
    assert digest_at(warehouse) != digest_at(work / "base")

    report = consolidated(warehouse)

    assert (report.conversations, report.left, report.commits) == (1, 0, 1)
    assert computed(report) == later()
    assert all(report.steps[name].computed == 1 for name in later())
    assert report.worker_seconds >= sum(s.seconds for s in report.steps.values()) - 0.01
    assert digest_at(warehouse) == digest_at(work / "base")
    assert consolidated(warehouse).commits == 0


def test_a_changed_parameter_recomputes_its_step_and_what_is_downstream(
    warehouse: Path, work: Path, other_trees: Path, tmp_path: Path
) -> None:
    pipeline = pipeline_copy(tmp_path / "p.yaml", TREE)

    report = consolidated(warehouse, pipeline)

    assert report.conversations == len(TALKS)
    assert computed(report) == ["tree"]
    assert digest_at(warehouse) == digest_at(other_trees)
    assert consolidated(warehouse).commits == 0, "the changed plan is the last one now"
    build_here(warehouse, work / "log.jsonl")
    assert digest_at(warehouse) == digest_at(work / "base")


def test_a_changed_scene_parameter_leaves_the_other_steps_alone(
    warehouse: Path, work: Path, tmp_path: Path
) -> None:
    shipped = plan("conversation_memory")
    spec = json.loads(plan_spec(shipped))
    next(step for step in spec["steps"] if step["id"] == "scenes")["min_members"] = 4
    pipeline = tmp_path / "p.yaml"
    pipeline.write_text(json.dumps(spec))  # JSON is YAML.

    report = consolidated(warehouse, pipeline)

    assert computed(report) == ["scenes", *shipped.downstream("scenes")]
    assert "associate" not in computed(report)
    build_here(tmp_path / "fresh", work / "log.jsonl", pipeline=pipeline)
    assert digest_at(warehouse) == digest_at(tmp_path / "fresh")


def test_one_conversation_of_a_changed_plan(
    warehouse: Path, other_trees: Path, tmp_path: Path
) -> None:
    pipeline = pipeline_copy(tmp_path / "p.yaml", TREE)
    before = trees(warehouse)

    report = consolidated(warehouse, pipeline, TALKS[1])

    assert (report.conversations, report.left) == (1, len(TALKS) - 1)
    assert report.steps["tree"].computed == 1
    changed = {row[0] for row in set(trees(warehouse)) ^ set(before)}
    assert changed == {TALKS[1]}
    again = consolidated(warehouse, pipeline, TALKS[1])
    assert computed(again) == []
    rest = consolidated(warehouse)
    assert rest.steps["tree"].computed == len(TALKS) - 1
    assert digest_at(warehouse) == digest_at(other_trees)
    assert consolidated(warehouse, pipeline).commits == 0


def trees(warehouse: Path) -> list[tuple[Any, ...]]:
    return rows_at(warehouse, "memtree_nodes", "conversation_id", "tree_id", "node_id", "summary")


def test_what_failed_is_tried_again(warehouse: Path, work: Path) -> None:
    with open_warehouse(warehouse) as opened:  # As a failed `tree` leaves it, without the rows.
        stamps = read_table(opened, "stamps", where=f"conversation_id = '{TALKS[0]}'").to_pylist()
        for stamp in stamps:
            if stamp["step"] in {"tree", WHOLE_PLAN}:
                opened.rows(
                    "DELETE FROM stamps WHERE conversation_id = ? AND step = ?",
                    [TALKS[0], stamp["step"]],
                )

    report = consolidated(warehouse)

    assert report.conversations == 1
    assert computed(report) == ["tree"]
    assert digest_at(warehouse) == digest_at(work / "base")
    assert consolidated(warehouse).commits == 0


def test_the_command(warehouse: Path, tmp_path: Path) -> None:
    pipeline = pipeline_copy(tmp_path / "p.yaml", TREE)

    idle = cli("consolidate", "-w", warehouse)
    assert (idle.code, idle.stderr) == (0, "")
    assert "nothing to do" in idle.stdout

    wrong = cli("consolidate", "-w", warehouse, "--conversation", "no-such-talk")
    assert wrong.code == 2
    assert "no-such-talk" in wrong.stderr
    missing = cli("consolidate", "-w", tmp_path / "missing")
    assert missing.code == 4
    assert not (tmp_path / "missing").exists()

    one = cli(
        *("consolidate", pipeline, "-w", warehouse, "--conversation", TALKS[0]),
        *("--workers", 1, "--json"),
    )
    assert one.code == 0, one.stderr
    report = json.loads(one.stdout)
    assert (report["conversations"], report["left"]) == (1, len(TALKS) - 1)
    assert report["steps"]["tree"]["computed"] == 1
    rest = cli("consolidate", pipeline, "-w", warehouse, "--workers", 1)
    assert rest.code == 0, rest.stderr
    assert f"tree: {len(TALKS) - 1} computed" in rest.stdout


def test_beside_a_stream(tmp_path: Path, work: Path) -> None:
    """The stream lets it in; what waited for sessions to close is there before they do."""
    warehouse, log = tmp_path / "w", tmp_path / "log.jsonl"
    pipeline = pipeline_copy(tmp_path / "p.yaml", *STREAMED)
    append(log, [orjson.dumps(line) for line in LINES[:-4]])
    with running("stream", pipeline, "--source", log, "-w", warehouse, "--workers", 1) as stream:
        stream.wait_for_line("engine ready")
        all_recorded(warehouse, len(LINES) - 4)

        done = cli("consolidate", "-w", warehouse, "--workers", 1, "--json")
        assert done.code == 0, done.stderr
        first = write_log(tmp_path / "first.jsonl", LINES[:-4])
        build_here(tmp_path / "batch", first)
        assert digest_at(warehouse) == digest_at(tmp_path / "batch")

        append(log, [orjson.dumps(line) for line in LINES[-4:]])
        all_recorded(warehouse, len(LINES))
        stream.process.terminate()
        ended = stream.finish()
        assert ended.code == 0, ended.stderr

    consolidated(warehouse)
    assert digest_at(warehouse) == digest_at(work / "base")


def all_recorded(warehouse: Path, count: int) -> None:
    wait_until(lambda: recorded(warehouse) == count, RUN_SECONDS, "messages", pause=0.3)


def recorded(warehouse: Path) -> int:
    if not (warehouse / "memoryflow.json").exists():
        return 0
    return len(rows_at(warehouse, "messages", "message_id"))
