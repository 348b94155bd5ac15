"""A log is shown once and to its end, through lost connections and Ctrl-C."""

import pytest

from jobs.errors import EngineError, UsageError
from jobs.submission.follow import StoppedFollowingError, follow
from jobs.submission.outcome import JobFailedError, check_succeeded, exit_code_of, report_in
from tests.jobs.submission.fake_cluster import FakeCluster, cluster_with, job, lost

ID = "memoryflow-1"


def watched(*connections: list[str | BaseException], **more: object) -> tuple[FakeCluster, str]:
    cluster = FakeCluster({ID: job(ID, "RUNNING")}, list(connections), **more)  # pyright: ignore
    shown: list[str] = []
    follow(cluster, ID, shown.append, pause=0)
    return cluster, "".join(shown)


def test_the_log_is_shown_to_the_end() -> None:
    assert watched(["one\n", "two\n"])[1] == "one\ntwo\n"


def test_a_connection_that_breaks_is_made_again_and_nothing_is_shown_twice() -> None:
    shown = watched(["one\n", "tw", lost()], [lost()], ["one\ntwo\nthr", "ee\n"])[1]

    assert shown == "one\ntwo\nthree\n"


def test_a_log_that_ends_while_the_job_runs_is_asked_for_again() -> None:
    assert watched(["one\n"], ["one\n", "two\n"])[1] == "one\ntwo\n"


def test_a_cluster_that_stays_away_is_given_up() -> None:
    with pytest.raises(EngineError, match="may go on; to follow it: memoryflow job logs"):
        watched(*([lost()] for _ in range(30)))


def test_ctrl_c_ends_the_following_alone() -> None:
    cluster = FakeCluster({ID: job(ID, "RUNNING")}, [["one\n", KeyboardInterrupt()], []])
    with pytest.raises(StoppedFollowingError) as caught:
        follow(cluster, ID, lambda _: None, pause=0)

    assert caught.value.exit_code == 130
    assert f"memoryflow job stop {ID} --address {cluster.address}" in str(caught.value)
    assert cluster.known[ID].active


def test_a_job_that_is_not_there_is_a_wrong_id() -> None:
    with pytest.raises(UsageError, match="memoryflow job list"):
        follow(cluster_with([]), ID, lambda _: None, pause=0)


@pytest.mark.parametrize(
    ("status", "ended_with", "code"),
    [
        ("SUCCEEDED", 0, 0),
        ("FAILED", 3, 3),
        ("FAILED", 2, 2),
        ("FAILED", None, 4),
        ("FAILED", -9, 4),
        ("STOPPED", None, 130),
    ],
)
def test_the_exit_code_is_the_jobs(status: str, ended_with: int | None, code: int) -> None:
    ended = job(ID, status, exit_code=ended_with)

    assert exit_code_of(ended) == code
    if code == 0:
        check_succeeded(ended, "")
    else:
        with pytest.raises(JobFailedError) as caught:
            check_succeeded(ended, "")
        assert caught.value.exit_code == code


@pytest.mark.parametrize(
    ("exit_code", "message", "log", "reason"),
    [
        (127, "", "sh: 1: python: not found", "no `python` on the PATH"),
        (1, "", "ModuleNotFoundError: No module named 'polars'", "has to be installed"),
        (None, "setup\nno such package", "", "no such package"),
    ],
)
def test_a_failure_says_what_to_do(
    exit_code: int | None, message: str, log: str, reason: str
) -> None:
    with pytest.raises(JobFailedError, match=reason):
        check_succeeded(job(ID, "FAILED", exit_code=exit_code, message=message), log)


def test_the_report_of_the_run_is_found_in_its_log() -> None:
    log = 'Running entrypoint\n{"counters": broken\n{"counters": {}, "slices": 3}\nend\n'

    assert report_in(log) == {"counters": {}, "slices": 3}
    assert report_in("no report\n") is None
