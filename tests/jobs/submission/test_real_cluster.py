"""`submit` and `job` against a real Ray head that asks for a token."""

import json
import os
import signal
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.jobs.builds import build_here, digest_at, pipeline_copy, sample_lines, write_log
from tests.jobs.processes import (
    REPO,
    RUN_SECONDS,
    Finished,
    cli,
    command,
    environment,
    wait_until,
)
from tests.servers.ray_head import RayHead, running_ray_head

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def head() -> Iterator[RayHead]:
    with running_ray_head() as started:
        yield started


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_log(tmp_path_factory.mktemp("log") / "log.jsonl", sample_lines(per_log=10))


@pytest.fixture(scope="module")
def local_digest(log: Path, tmp_path_factory: pytest.TempPathFactory, ray_here: None) -> str:
    here = tmp_path_factory.mktemp("here") / "warehouse"
    build_here(here, log)
    return digest_at(here)["digest"]


def ask(head: RayHead, *arguments: object, env: Mapping[str, str] | None = None) -> Finished:
    """A command that talks to the cluster, with its token unless `env` says otherwise."""
    done = subprocess.run(
        command(*arguments, "--address", head.url),
        cwd=REPO,
        env=head.environment if env is None else dict(env),
        capture_output=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    return Finished(done.returncode, done.stdout.decode(), done.stderr.decode())


def submission(
    log: Path, warehouse: Path, pipeline: object = "conversation_memory"
) -> list[object]:
    return ["submit", pipeline, "--input", log, "-w", warehouse, "--workers", 1]


def jobs(head: RayHead) -> list[dict[str, object]]:
    return json.loads(ask(head, "job", "list", "--json").stdout)


def status(head: RayHead, job_id: str) -> str:
    return json.loads(ask(head, "job", "status", job_id, "--json").stdout)["status"]


def test_a_submitted_run_makes_the_same_memory_and_is_not_run_twice(
    head: RayHead, log: Path, local_digest: str, tmp_path: Path
) -> None:
    warehouse = tmp_path / "there"
    first = ask(head, *submission(log, warehouse), "--json")
    told = json.loads(first.stdout)

    assert first.code == 0, first.stderr
    assert digest_at(warehouse)["digest"] == local_digest
    assert (told["status"], told["exit_code"], told["submitted"]) == ("SUCCEEDED", 0, True)
    assert told["report"]["counters"]["messages"]["new"] == 30
    assert "Running entrypoint" in first.stderr

    before = jobs(head)
    again = ask(head, *submission(log, warehouse))
    assert again.code == 0, again.stderr
    assert "has run this already and succeeded" in again.stderr
    assert "--again" in again.stderr
    assert jobs(head) == before

    forced = ask(head, *submission(log, warehouse), "--again")
    assert forced.code == 0, forced.stderr
    assert "nothing to do" in forced.stderr
    assert len(jobs(head)) == len(before) + 1

    table = ask(head, "job", "list")
    assert told["id"] in table.stdout
    assert str(warehouse) in table.stdout
    shown = ask(head, "job", "status", told["id"])
    assert "SUCCEEDED" in shown.stdout
    assert ask(head, "job", "logs", told["id"]).stdout.count("Running entrypoint") == 1


def test_a_stopped_job_is_submitted_anew_and_completes(
    head: RayHead, log: Path, local_digest: str, tmp_path: Path
) -> None:
    warehouse = tmp_path / "there"
    job_id = ask(head, *submission(log, warehouse), "--no-wait").stdout.strip()
    wait_until(lambda: status(head, job_id) == "RUNNING", RUN_SECONDS, "running job")

    stopped = ask(head, "job", "stop", job_id)
    assert (stopped.code, stopped.stdout.split()) == (0, [job_id, "STOPPED"]), stopped.stderr
    followed = ask(head, "job", "logs", job_id, "--follow")
    assert followed.code == 130
    assert "submit again to go on" in followed.stderr

    done = ask(head, *submission(log, warehouse))
    assert done.code == 0, done.stderr
    assert f"submitted {job_id}-2 ({job_id}: STOPPED)" in done.stderr
    assert digest_at(warehouse)["digest"] == local_digest


def test_ctrl_c_stops_following_and_the_users_own_pipeline_travels(
    head: RayHead, log: Path, local_digest: str, tmp_path: Path
) -> None:
    """A file that is gone once it has been sent; a variable of ours; the job ends without us."""
    warehouse = tmp_path / "there"
    pipeline = pipeline_copy(tmp_path / "mine.yaml")
    process = subprocess.Popen(
        command(*submission(log, warehouse, pipeline), "--env", "MINE", "--address", head.url),
        cwd=REPO,
        env=head.environment | {"MINE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    try:
        lines: list[str] = []
        for line in process.stderr:
            lines.append(line)
            if "Running entrypoint" in line:
                break
        pipeline.unlink()
        os.killpg(process.pid, signal.SIGINT)
        lines.append(process.communicate(timeout=RUN_SECONDS)[1])
    finally:
        process.kill()
    text = "".join(lines)
    job_id = text.partition("submitted ")[2].split()[0]

    assert process.returncode == 130, text
    assert f"memoryflow job stop {job_id} --address {head.url}" in text
    # It goes on; where we were held up, it may have come to its end.
    assert status(head, job_id) in {"RUNNING", "SUCCEEDED"}

    done = ask(head, "job", "logs", job_id, "--follow")
    assert done.code == 0, done.stderr
    assert digest_at(warehouse)["digest"] == local_digest


def test_the_exit_code_is_that_of_the_run(head: RayHead, tmp_path: Path) -> None:
    done = ask(head, *submission(tmp_path / "none.jsonl", tmp_path / "there"), "--json")

    assert done.code == 2
    assert json.loads(done.stdout)["exit_code"] == 2
    assert "none.jsonl" in done.stderr
    assert "failed (exit code 2); the reason is at the end of its log" in done.stderr


def test_a_wrong_token_is_refused_and_none_is_ever_shown(
    head: RayHead, log: Path, tmp_path: Path
) -> None:
    wrong = "0" * 64
    known = len(jobs(head))
    refused = ask(
        *(head, *submission(log, tmp_path / "there")),
        env=environment() | {"RAY_AUTH_TOKEN": wrong},  # The mode follows from it.
    )
    without = ask(head, "job", "list", env=environment() | {"RAY_AUTH_MODE": "disabled"})

    assert (refused.code, without.code) == (4, 4)
    assert "does not take this token" in refused.stderr
    assert "asks for a token" in without.stderr
    assert wrong not in refused.stderr + refused.stdout
    assert len(jobs(head)) == known

    request = urllib.request.Request(
        f"{head.url}/api/jobs/", headers={"Authorization": f"Bearer {head.token}"}
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        everything = reply.read().decode()
    for job in jobs(head):
        everything += ask(head, "job", "logs", job["id"]).stdout
    assert "conversation_memory" in everything
    assert head.token not in everything


def test_an_unknown_id_is_a_wrong_argument(head: RayHead) -> None:
    done = ask(head, "job", "status", "memoryflow-none")

    assert done.code == 2
    assert "memoryflow job list" in done.stderr


def test_where_nothing_listens(tmp_path: Path, log: Path) -> None:
    unreachable = cli(*submission(log, tmp_path / "w"), "--address", "http://127.0.0.1:1")

    assert unreachable.code == 4
    assert "cannot be reached: Connection refused" in unreachable.stderr
