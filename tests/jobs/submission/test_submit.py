"""Submitted twice, it runs once."""

from pathlib import Path

import pytest

from jobs.submission.application import PACKAGES
from jobs.submission.request import RunOptions, RunRequest
from jobs.submission.submit import attempts_of, submit
from pipelines.plan import plan
from tests.jobs.builds import pipeline_copy
from tests.jobs.submission.fake_cluster import FakeCluster, cluster_with, job

pytestmark = pytest.mark.usefixtures("small_application")

REQUEST = RunRequest("conversation_memory", plan("conversation_memory"), "/in", "/out")
ID = REQUEST.submission_id


def send(cluster: FakeCluster, request: RunRequest = REQUEST, **more: bool):
    said: list[str] = []
    done = submit(cluster, request, {"env_vars": {"A": "1"}}, tell=said.append, **more)
    return done, "\n".join(said)


def test_the_first_time_it_is_started() -> None:
    cluster = FakeCluster()
    done, said = send(cluster)
    (sent,) = cluster.submitted

    assert done.new
    assert done.job.id == sent.job_id == ID
    assert said == f"submitted {ID}"
    assert sent.command.startswith("python -m jobs.cli run --input /in --warehouse /out")
    assert sent.environment["env_vars"] == {"A": "1"}
    assert sent.files == {f"{package}/__init__.py" for package in PACKAGES}
    assert sent.metadata["warehouse"] == "/out"


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("status", ["PENDING", "RUNNING"])
def test_one_that_runs_is_not_started_again(status: str, again: bool) -> None:
    cluster = cluster_with([job(ID, status)])
    done, said = send(cluster, again=again)

    assert (cluster.submitted, done.new, done.job.id) == ([], False, ID)
    assert "runs already" in said


def test_one_that_has_succeeded_is_started_again_only_if_wished() -> None:
    cluster = cluster_with([job(ID, "SUCCEEDED")])
    done, said = send(cluster)
    assert (cluster.submitted, done.new) == ([], False)
    assert "--again" in said

    done, _ = send(cluster, again=True)
    assert (done.new, done.job.id) == (True, f"{ID}-2")


@pytest.mark.parametrize("status", ["FAILED", "STOPPED"])
def test_one_that_failed_or_was_stopped_is_started_anew(status: str) -> None:
    cluster = cluster_with([job(ID, "FAILED"), job(f"{ID}-2", status), job("other", "RUNNING")])
    done, said = send(cluster)

    assert (done.new, done.job.id) == (True, f"{ID}-3")
    assert f"({ID}-2: {status})" in said


def test_the_last_attempt_decides() -> None:
    cluster = cluster_with([job(f"{ID}-2", "SUCCEEDED"), job(ID, "FAILED")])

    assert not send(cluster)[0].new
    assert [found.id for found in attempts_of(ID, cluster.jobs())] == [ID, f"{ID}-2"]


@pytest.mark.parametrize("status", ["RUNNING", "SUCCEEDED"])
def test_an_attempt_counts_although_earlier_ones_were_deleted(status: str) -> None:
    """By `ray job delete`, which takes only what has ended."""
    cluster = cluster_with([job(f"{ID}-12", status), job(f"{ID}-9", "FAILED"), job(f"{ID}-x", "")])
    done, _ = send(cluster)

    assert (cluster.submitted, done.new, done.job.id) == ([], False, f"{ID}-12")


def test_after_a_failed_one_comes_the_next_number() -> None:
    done, _ = send(cluster_with([job(f"{ID}-3", "FAILED")]))

    assert done.job.id == f"{ID}-4"


def test_another_that_was_quicker_is_followed() -> None:
    cluster = FakeCluster(taken=True)
    cluster.connections.append([])
    done, said = send(cluster)

    assert (done.new, done.job.id) == (False, ID)
    assert "somebody else" in said


def test_a_pipeline_file_goes_with_it(tmp_path: Path) -> None:
    file = pipeline_copy(tmp_path / "mine.yaml")
    cluster = FakeCluster()
    request = RunRequest(str(file), plan(file), "/in", "/out", RunOptions())
    send(cluster, request)

    assert "submitted/mine.yaml" in cluster.submitted[0].files
    assert cluster.submitted[0].command.endswith("-- submitted/mine.yaml")
