"""Each check tells what is wrong where something is, and nothing where nothing is."""

import json
import os
import socket
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from jobs.doctor import machine, ray_engine, software
from jobs.doctor.finding import Finding, Scope
from jobs.doctor.models import embedder_file
from jobs.doctor.pipeline import pipeline
from jobs.doctor.registry import CHECKS, diagnose
from jobs.doctor.warehouse import lock_holder, warehouse
from jobs.run_record import RunRecord
from pipelines.plan import plan
from tests.jobs.processes import cli
from tests.servers.places import running_servers
from tests.transforms.warehouse.rows import messages
from transforms.warehouse.commit import ChangeSet, commit, upsert
from transforms.warehouse.connection import open_warehouse
from transforms.warehouse.erasure import announce_erasure

NOTHING = Scope()


def statuses(findings):
    return {finding.check: finding.status for finding in findings}


@pytest.fixture
def built(folder):
    with open_warehouse(folder, threads=1) as opened:
        run = RunRecord("run", plan("conversation_memory"), "x").row("running", {})
        rows = messages("c", {"m": "hello"})
        commit(opened, [ChangeSet("messages", inserts=rows)], [upsert("runs", run)])
    return folder


@pytest.mark.slow
def test_a_warehouse_in_its_states(built):
    """One warehouse for all: making one is the dear part."""
    with open_warehouse(built, threads=1) as opened:
        in_use = list(warehouse(Scope(built)))
        assert statuses(in_use) == {"warehouse": "ok", "writer": "ok", "last run": "ok"}
        assert f"process {os.getpid()}" in in_use[1].detail
        announce_erasure(opened)

    # The run is said to be under way, and nobody writes: it was killed.
    (built / "kv").mkdir()
    (built / "kv" / "unfinished").touch()
    orphan = built / "data" / "main" / "messages" / "left-behind.parquet"
    orphan.write_bytes(b"x")
    left = statuses(warehouse(Scope(built)))
    assert lock_holder(built) is None
    assert left == {
        **{"warehouse": "ok", "writer": "ok", "last run": "warn"},
        **{"erasure": "warn", "caches": "warn", "files": "warn"},
    }

    for file in (orphan, built / "erasure.pending", built / "kv" / "unfinished"):
        file.unlink()
    assert statuses(warehouse(Scope(built)))["unfinished"] == "ok"

    marker = built / "memoryflow.json"
    marker.write_text(json.dumps(json.loads(marker.read_text()) | {"format": 99}))
    (newer,) = warehouse(Scope(built))
    assert newer.status == "fail"
    assert "Update memoryflow" in newer.detail


@pytest.mark.slow
def test_a_writer_whose_lock_is_kept_by_a_server(tmp_path):
    """Its run is under way and not killed, though nobody has the folder's file locked."""
    with running_servers() as servers:
        folder = servers.place(tmp_path / "outside", "postgres").folder
        with open_warehouse(folder, threads=1) as opened:
            run = RunRecord("run", plan("conversation_memory"), "x").row("running", {})
            commit(opened, [], [upsert("runs", run)])
            in_use = list(warehouse(Scope(folder)))
        left = list(warehouse(Scope(folder)))
    assert statuses(in_use) == {"warehouse": "ok", "writer": "ok", "last run": "ok"}
    assert "has it open" in in_use[1].detail
    assert statuses(left)["last run"] == "warn"
    assert "nobody" in left[1].detail


def test_no_warehouse(tmp_path):
    (missing,) = warehouse(Scope(tmp_path / "nowhere"))
    assert (missing.status, "nowhere" in missing.detail) == ("fail", True)


def test_every_check_is_quiet_without_a_scope():
    assert list(warehouse(NOTHING)) == list(pipeline(NOTHING)) == []


def test_a_check_that_fails_is_a_finding_and_the_others_go_on():
    def broken_check(scope: Scope):
        raise RuntimeError("oh")

    def good(scope: Scope):
        yield Finding("good", "ok", "yes")

    found = list(diagnose(NOTHING, (broken_check, good)))
    assert statuses(found) == {"broken check": "fail", "good": "ok"}
    assert "RuntimeError: oh" in found[0].detail


def test_packages_of_a_wrong_version(monkeypatch):
    real = software._version
    wrong = {"duckdb": "2.0.0", "polars": None}
    monkeypatch.setattr(software, "_version", lambda name: wrong.get(name, real(name)))
    (found,) = software.required_packages(NOTHING)

    assert found.status == "fail"
    assert "duckdb 2.0.0 is not ==1.5.5" in found.detail
    assert "polars is missing" in found.detail
    assert found.fix


def test_packages_as_they_are():
    (found,) = software.required_packages(NOTHING)
    assert found.status == "ok", found.detail
    (optional,) = software.optional_packages(NOTHING)
    assert optional.status == "ok"


def test_extensions_load():
    (found,) = software.extensions(NOTHING)
    assert found.status == "ok"
    assert "ducklake" in found.detail


def test_a_damaged_model(tmp_path):
    file = tmp_path / "model.onnx"
    file.write_bytes(b"not a model")
    found = embedder_file(file, "hash")

    assert found.status == "fail"
    assert "build_int8" in found.fix


def test_the_token_trap(monkeypatch, tmp_path):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    assert list(ray_engine.ray_environment(NOTHING)) == []

    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("t")
    assert statuses(ray_engine.ray_environment(NOTHING)) == {"ray token": "warn"}

    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_ADDRESS", "elsewhere:6379")
    found = list(ray_engine.ray_environment(NOTHING))
    assert [finding.check for finding in found] == ["ray address", "ray token"]
    assert "RAY_AUTH_TOKEN" in found[1].fix


def test_ray_processes(monkeypatch):
    def processes(infos):
        return lambda _: [SimpleNamespace(info=info) for info in infos]

    mine = {"name": "python", "pid": 1, "ppid": 0}
    monkeypatch.setattr(psutil, "process_iter", processes([mine]))
    assert statuses(ray_engine.leftovers(NOTHING)) == {"ray processes": "ok"}

    left = {"name": "raylet", "pid": 77, "ppid": 1}
    monkeypatch.setattr(psutil, "process_iter", processes([mine, left]))
    (found,) = ray_engine.leftovers(NOTHING)
    assert (found.status, found.detail) == ("warn", "raylet 77 (its parent has ended)")


@pytest.mark.parametrize(("gib", "status"), [(0.1, "fail"), (2, "warn"), (50, "ok")])
def test_disk(monkeypatch, tmp_path, gib, status):
    usage = SimpleNamespace(free=int(gib * 2**30))
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: usage)
    (found,) = machine.disk(Scope(tmp_path / "not" / "there"))

    assert found.status == status
    assert str(tmp_path) in found.detail


def test_cpu_without_the_instructions(monkeypatch, tmp_path):
    info = tmp_path / "cpuinfo"
    info.write_text("processor : 0\nflags : sse2 avx2\n")
    monkeypatch.setattr(machine, "_CPU_INFO", info)
    assert statuses(machine.cpu(NOTHING)) == {"cpu": "warn"}

    info.write_text("processor : 0\nflags : sse2 avx512_vnni\n")
    assert statuses(machine.cpu(NOTHING)) == {"cpu": "ok"}


def test_memory_of_a_container(monkeypatch, tmp_path):
    limit = tmp_path / "memory.max"
    limit.write_text(f"{2**30}\n")
    monkeypatch.setattr(machine, "_CGROUP", limit)
    (found,) = machine.memory(NOTHING)

    assert found.status == "warn"
    assert "of 1.0 GiB" in found.detail


def test_the_rest_of_the_machine():
    checks = (machine.temporary_folder, machine.open_files, machine.clock)
    found = [finding for check in checks for finding in check(NOTHING)]
    assert statuses(found).keys() == {"temporary files", "open files", "clock"}


PIPELINE = """
version: 1
name: asks
x-llm: &llm {{engine: openai, model: m, url: "http://127.0.0.1:{port}/v1", api_key_env: ACME_KEY}}
steps:
  - {{id: sessions, operator: gap_sessions}}
  - {{id: cells, operator: two_turn_cells}}
  - {{id: extract, operator: llm_facts, llm: *llm}}
"""


def test_a_pipeline_and_its_endpoint(tmp_path, monkeypatch):
    file = tmp_path / "p.yaml"
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        file.write_text(PIPELINE.format(port=server.getsockname()[1]))
        monkeypatch.delenv("ACME_KEY", raising=False)
        (_, keyless) = pipeline(Scope(pipeline=str(file)))
        assert (keyless.status, "ACME_KEY" in keyless.detail) == ("fail", True)

        monkeypatch.setenv("ACME_KEY", "sk-12345678")
        assert statuses(pipeline(Scope(pipeline=str(file)))) == {
            "pipeline": "ok",
            "language model": "ok",
        }
    with socket.socket() as silent:  # Bound, so that nobody else comes to listen there.
        silent.bind(("127.0.0.1", 0))
        file.write_text(PIPELINE.format(port=silent.getsockname()[1]))
        (_, gone) = pipeline(Scope(pipeline=str(file)))
    assert (gone.status, "nobody listens" in gone.detail) == ("fail", True)


def test_a_pipeline_that_does_not_load():
    (found,) = pipeline(Scope(pipeline="conversation_memry"))
    assert found.status == "fail"
    assert "conversation_memory" in found.detail


@pytest.mark.slow
def test_the_command(built):
    done = cli("doctor", "--warehouse", built, "--json")
    content = json.loads(done.stdout)

    assert (done.code, content["ok"]) == (0, True), content
    names = {finding["check"] for finding in content["findings"]}
    assert {"python", "packages", "duckdb extensions", "embedder", "disk", "last run"} <= names
    assert len(names) >= len(CHECKS) - 2  # ray environment and pipeline have nothing to say.

    failing = cli("doctor", "--warehouse", built / "nowhere")
    assert failing.code == 4
    assert "fail  warehouse: " in failing.stdout
    assert "fix: " in failing.stdout


@pytest.mark.slow
def test_ray_really_starts():
    done = cli("doctor", "--ray", "--json")
    found = {f["check"]: f for f in json.loads(done.stdout)["findings"]}

    assert found["ray"]["status"] == "ok"
    assert "started" in found["ray"]["detail"]
