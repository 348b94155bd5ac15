"""`submit` and `job` as a user types them, on a cluster in memory."""

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from jobs.commands import job as job_command
from jobs.commands import submit as submit_command
from jobs.errors import JobError
from jobs.submission import environment as submission_environment
from jobs.submission.follow import follow
from jobs.submission.outcome import JobFailedError
from tests.jobs.builds import pipeline_copy
from tests.jobs.submission.fake_cluster import FakeCluster, cluster_with, job

pytestmark = pytest.mark.usefixtures("small_application")

Ask = Callable[..., str]
FAR = "http://cluster:8265"


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    fake = FakeCluster()
    monkeypatch.setattr("jobs.submission.cluster.RayCluster", lambda address: fake)
    monkeypatch.setattr("jobs.submission.follow.follow", _without_pauses)
    for module in (submit_command, job_command):
        monkeypatch.setattr(module, "prepare_submission_environment", lambda: None)
    monkeypatch.setattr(job_command, "_POLL_SECONDS", 0.0)
    return fake


def _without_pauses(cluster: FakeCluster, job_id: str, write: Callable[[str], object]):
    return follow(cluster, job_id, write, pause=0)


@pytest.fixture
def ask(capfd: pytest.CaptureFixture[str]) -> Ask:
    """Runs a command; gives its stdout, and keeps its stderr in `ask.stderr`."""

    def run(*arguments: object, address: str = FAR) -> str:
        app = typer.Typer()
        submit_command.register(app)
        job_command.register(app)
        done = CliRunner().invoke(app, [*map(str, arguments), "--address", address])
        run.stderr = done.stderr  # pyright: ignore[reportFunctionMemberAccess]
        if done.exception is not None:
            raise done.exception
        return done.stdout

    return run


def said(ask: Ask) -> str:
    return ask.stderr  # pyright: ignore


SUBMIT = ("submit", "conversation_memory", "--input", "/shared/in", "-w", "/shared/out")


def test_the_log_is_followed_and_the_report_printed(cluster: FakeCluster, ask: Ask) -> None:
    cluster.connections.append(["progress\n", '{"counters": {}, "commits": 2}\n'])
    told = json.loads(ask(*SUBMIT, "--json"))

    assert told["report"] == {"counters": {}, "commits": 2}
    assert (told["status"], told["exit_code"], told["submitted"]) == ("SUCCEEDED", 0, True)
    assert "progress" in said(ask)
    assert "--json" in cluster.submitted[0].command


def test_no_wait_prints_the_id_alone(cluster: FakeCluster, ask: Ask) -> None:
    cluster.connections.append(["never read"])

    assert ask(*SUBMIT, "--no-wait") == f"{cluster.submitted[0].job_id}\n"


def test_a_run_that_fails_fails_the_command(cluster: FakeCluster, ask: Ask) -> None:
    cluster.outcome, cluster.exit_code = "FAILED", 3
    cluster.connections.append(["4 bad lines\n"])
    with pytest.raises(JobFailedError) as caught:
        ask(*SUBMIT)
    assert caught.value.exit_code == 3


def test_options_reach_the_run_and_decide_the_id(cluster: FakeCluster, ask: Ask) -> None:
    ask(*SUBMIT, "--no-wait")
    ask(*SUBMIT, "--no-wait", "--max-bad", 3, "--workers", 8, "--events", "/shared/e.jsonl")
    first, second = cluster.submitted

    assert "--max-bad 3 --workers 8 --events /shared/e.jsonl" in second.command
    assert first.job_id != second.job_id
    assert "--max-bad" not in first.command


@pytest.mark.parametrize(
    "wrong",
    [("--start-time", "yesterday"), ("--env", "A=1"), ("--input", "-"), ("--llm-model", "x")],
    ids=str,
)
def test_what_is_wrong_is_said_before_anything_is_sent(
    wrong: tuple[str, str], cluster: FakeCluster, ask: Ask
) -> None:
    with pytest.raises(JobError) as caught:
        ask(*SUBMIT, *wrong)
    assert caught.value.exit_code == 2
    assert cluster.submitted == []


def test_a_path_of_this_machine_is_warned_of_where_the_cluster_is_elsewhere(
    cluster: FakeCluster, ask: Ask, tmp_path: Path
) -> None:
    (tmp_path / "log.jsonl").touch()
    here = ["submit", "conversation_memory", "--input", tmp_path / "log.jsonl", "-w", tmp_path]
    ask(*here, "--no-wait")
    assert said(ask).count("is on a disk of this machine") == 2

    ask(*here, "--no-wait", address="http://127.0.0.1:8265")
    assert "is on a disk of this machine" not in said(ask)


def test_a_key_is_passed_by_name_unless_it_is_asked_for(
    cluster: FakeCluster, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "sesame")
    llm = ("--llm-url", "http://llm:8000/v1", "--llm-model", "m", "--llm-key-env", "MY_KEY")
    command = ("submit", "conversation_memory_llm", *SUBMIT[2:], *llm, "--no-wait")
    ask(*command)
    ask(*command, "--again", "--env", "MY_KEY", "-w", "/shared/other")
    by_name, by_value = cluster.submitted

    assert "sesame" not in str(by_name)
    assert by_value.environment["env_vars"]["MY_KEY"] == "sesame"
    assert "sesame" not in by_value.command + str(by_value.metadata)


def test_the_user_is_told_where_the_key_is_looked_for(cluster: FakeCluster, ask: Ask) -> None:
    llm = ("--llm-url", "http://llm:8000/v1", "--llm-model", "m", "--llm-key-env", "MY_KEY")
    ask("submit", "conversation_memory_llm", *SUBMIT[2:], *llm, "--no-wait")

    assert "pass it on with --env MY_KEY" in said(ask)


def test_a_pipeline_with_a_mistake_is_refused_here(
    cluster: FakeCluster, ask: Ask, tmp_path: Path
) -> None:
    wrong = pipeline_copy(tmp_path / "wrong.yaml", (r"gap: 6h ", "gapp: 6h "))
    with pytest.raises(ValueError, match="gapp"):
        ask("submit", wrong, *SUBMIT[2:])
    assert cluster.submitted == []


def test_jobs_are_listed_oldest_first_and_ours_alone(cluster: FakeCluster, ask: Ask) -> None:
    cluster.known = cluster_with(
        [
            job("memoryflow-b", "RUNNING", started=2_000),
            job("memoryflow-a", "FAILED", started=3_000, metadata={"warehouse": "/w"}),
            job("raysubmit_x", "SUCCEEDED", started=1_000),
        ]
    ).known
    cluster.connections.append([])
    listed = [found["id"] for found in json.loads(ask("job", "list", "--json"))]

    assert listed == ["memoryflow-b", "memoryflow-a"]
    assert [line.split()[0] for line in ask("job", "list").splitlines()] == ["id", *listed]
    assert "raysubmit_x" in ask("job", "list", "--all")


def test_no_jobs(cluster: FakeCluster, ask: Ask) -> None:
    assert ask("job", "list") == "no jobs\n"
    assert ask("job", "list", "--json") == "[]\n"


def test_a_job_is_stopped(cluster: FakeCluster, ask: Ask) -> None:
    cluster.known["memoryflow-a"] = job("memoryflow-a", "RUNNING")
    cluster.connections.append([])

    assert ask("job", "stop", "memoryflow-a") == "memoryflow-a  STOPPED\n"
    assert said(ask) == ""


def test_a_job_that_has_ended_is_not_stopped(cluster: FakeCluster, ask: Ask) -> None:
    cluster.known["memoryflow-a"] = job("memoryflow-a", "SUCCEEDED")

    assert ask("job", "stop", "memoryflow-a") == "memoryflow-a  SUCCEEDED\n"
    assert "has ended already" in said(ask)


def test_a_token_that_is_set_is_used_and_an_address_of_the_environment_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "sesame")
    monkeypatch.setenv("RAY_ADDRESS", "ray://elsewhere:10001")
    monkeypatch.setattr(logging, "disable", lambda level: None)
    monkeypatch.setenv("RAY_AUTH_MODE", "set below")  # Put back at the end, whatever happens.
    del os.environ["RAY_AUTH_MODE"]
    submission_environment.prepare_submission_environment()

    assert os.environ["RAY_AUTH_MODE"] == "token"
    assert "RAY_ADDRESS" not in os.environ
