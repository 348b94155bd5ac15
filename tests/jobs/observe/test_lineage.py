"""Events of runs, held to OpenLineage's own schema where the client carries it."""

import json
import uuid

import pytest

from jobs.errors import UsageError
from jobs.observe.datasets import Input, file_inputs, source_input, written_since, written_so_far
from jobs.observe.lineage import run_uuid
from jobs.observe.watch import watched
from schemas.tables import TABLES
from tests.transforms.warehouse.rows import make_rows, messages
from transforms.sources.files import InputFile
from transforms.warehouse.commit import ChangeSet, commit
from transforms.warehouse.connection import open_warehouse

pytest.importorskip("openlineage.client")


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    """One for all tests: they look at what is written, not at what is there."""
    with open_warehouse(tmp_path_factory.mktemp("lineage") / "warehouse", threads=1) as opened:
        yield opened


def events(file):
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def test_a_run_that_ends(tmp_path, warehouse):
    log = tmp_path / "log.jsonl"
    log.write_text("{}\n")
    file = tmp_path / "events.jsonl"
    with watched("run", "demo", warehouse.path, events=file) as watch:
        assert watch.wants_inputs
        watch.started(file_inputs([InputFile(str(log), 3)]))
        with watch.writing(warehouse):
            rows = messages("c", {"m1": "hello", "m2": "there"})
            commit(warehouse, [ChangeSet("messages", inserts=rows)])
        watch.ended({})

    start, complete = events(file)
    assert (start["eventType"], complete["eventType"]) == ("START", "COMPLETE")
    assert start["run"]["runId"] == complete["run"]["runId"] == run_uuid(watch.run.run_id)
    assert uuid.UUID(start["run"]["runId"])
    assert start["job"] == complete["job"]
    assert (start["job"]["namespace"], start["job"]["name"]) == ("memoryflow", "demo.run")
    assert complete["run"]["facets"]["externalQuery"]["externalQueryId"] == watch.run.run_id
    (given,) = start["inputs"]
    assert (given["namespace"], given["name"]) == ("file", str(log))
    assert given["inputFacets"]["inputStatistics"]["size"] == 3
    assert given["facets"]["version"]["datasetVersion"].startswith("sha256:")
    (out,) = complete["outputs"]
    assert out["name"] == f"{warehouse.path}/messages"
    assert out["outputFacets"]["outputStatistics"]["rowCount"] == 2
    fields = [field["name"] for field in out["facets"]["schema"]["fields"]]
    assert fields == TABLES["messages"].schema.names
    assert start["outputs"] == []


def test_a_run_that_fails_says_what_it_had_committed(tmp_path, warehouse, monkeypatch):
    monkeypatch.setenv("ACME_API_KEY", "sk-123456789")
    file = tmp_path / "events.jsonl"
    with (
        pytest.raises(ValueError, match="no"),
        watched("run", "demo", warehouse.path, events=file) as watch,
        watch.writing(warehouse),
    ):
        commit(warehouse, [ChangeSet("messages", inserts=messages("c", {"m1": "hello"}))])
        raise ValueError("no: sk-123456789")

    start, fail = events(file)
    assert (start["eventType"], fail["eventType"]) == ("START", "FAIL")
    assert fail["run"]["facets"]["errorMessage"]["message"] == "ValueError: no: ***"
    assert [out["name"] for out in fail["outputs"]] == [f"{warehouse.path}/messages"]


@pytest.mark.parametrize(("stopped", "error"), [("budget", None), (None, KeyboardInterrupt())])
def test_a_run_that_is_cut_short(tmp_path, stopped, error):
    file = tmp_path / "events.jsonl"
    try:
        with watched("run", "demo", tmp_path, events=file) as watch:
            watch.started([])
            if error is not None:
                raise error
            watch.ended({}, stopped)
    except KeyboardInterrupt:
        pass

    assert [e["eventType"] for e in events(file)] == ["START", "ABORT"]
    said = events(file)[1]["run"]["facets"]["errorMessage"]["message"]
    assert said == (stopped or "interrupted")


def test_events_are_appended(tmp_path):
    file = tmp_path / "events.jsonl"
    for _ in range(2):
        with watched("run", "demo", tmp_path, events=file):
            pass

    assert len({e["run"]["runId"] for e in events(file)}) == 2
    assert len(events(file)) == 4


def test_a_file_that_cannot_be_written_is_told_at_once(tmp_path):
    with (
        pytest.raises(UsageError, match="--events"),
        watched("run", "demo", tmp_path, events=tmp_path / "nowhere" / "events.jsonl"),
    ):
        raise AssertionError("the run must not begin")


def test_rows_that_replace_others_count_as_written(warehouse):
    before = written_so_far(warehouse)
    row = make_rows("runs", [{"run_id": "r"}])
    for _ in range(2):
        deletes = row.select(["run_id"])
        commit(warehouse, [ChangeSet("runs", deletes=deletes, inserts=row)])

    assert [(w.table, w.rows) for w in written_since(before, written_so_far(warehouse))] == [
        ("runs", 2)
    ]


@pytest.mark.parametrize(
    ("uri", "namespace", "name"),
    [
        ("redis://user:secret@host:6379/0?stream=chat", "redis://host:6379", "0?stream=chat"),
        ("redis://h/0?stream=a&stream=b&consumer=x", "redis://h", "0?stream=a&stream=b"),
        ("kafka://broker:9092/topic", "kafka://broker:9092", "topic"),
        ("kafka://a:9092,b:9093/t?sasl.password=x&group=g", "kafka://a:9092,b:9093", "t"),
    ],
)
def test_a_source_is_named_without_its_password(uri, namespace, name):
    assert source_input(uri) == Input(namespace, name)


def test_files_that_grow_are_files():
    for uri in ("/logs/a chat?.jsonl", "file:///logs/a%20chat?.jsonl"):
        assert source_input(uri) == Input("file", "/logs/a chat?.jsonl")
