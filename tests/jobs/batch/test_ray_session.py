"""A Ray that does not start is told in words, with the exit code of a failed engine."""

import subprocess
import sys
from typing import Any

import pytest
import ray

from jobs.batch.ray_session import ray_session
from jobs.errors import EngineError
from tests.jobs.processes import REPO

SLOW = "The current node timed out during startup. Some of the raylet failed to startup."


_SLOW_ONCE = f"""
import psutil, ray
from jobs.batch.ray_environment import prepare_ray_environment
prepare_ray_environment(None)
from ray._private.node import Node
from jobs.batch.ray_session import ray_session
start, given_up = Node.start_ray_processes, []
def slow(node):
    start(node)
    if not given_up:
        given_up.extend(psutil.Process().children(recursive=True))
        raise Exception("{SLOW}")
Node.start_ray_processes = slow
with ray_session(None, workers=1):
    assert ray.get(ray.remote(lambda: 7).remote()) == 7
    assert given_up
    assert not [p for p in given_up if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
print("worked")
"""


@pytest.mark.slow
def test_a_local_ray_that_starts_too_slowly_is_started_again() -> None:
    """The processes of the first are real ones, and are gone when the second works."""
    done = subprocess.run(
        [sys.executable, "-c", _SLOW_ONCE], cwd=REPO, capture_output=True, text=True, check=False
    )
    assert done.stdout == "worked\n", done.stderr


def fail(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def init(**_: Any) -> None:
        raise error

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr("jobs.batch.ray_session._STARTS", 1)


@pytest.mark.parametrize(
    "error", [Exception(SLOW), RuntimeError(SLOW), TimeoutError(SLOW), ValueError(SLOW)]
)
def test_a_local_ray_that_starts_too_slowly(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    fail(monkeypatch, error)
    with pytest.raises(EngineError) as told, ray_session(None, workers=1):
        pytest.fail("there is no Ray")
    assert told.value.exit_code == 4
    assert told.value.__cause__ is error
    text = str(told.value)
    for part in ("timed out during startup", "run again", "overloaded", "ray stop --force", "logs"):
        assert part in text
    assert "--address" not in text
    assert ".." not in text


def test_a_cluster_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    fail(monkeypatch, Exception())
    with (
        pytest.raises(EngineError, match=r"cluster at auto .*: Exception\. Check the address"),
        ray_session("auto", workers=1),
    ):
        pytest.fail("there is no Ray")


def test_an_error_of_the_work_is_not_taken_for_one_of_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **_: None)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    with pytest.raises(KeyError), ray_session(None, workers=1):
        raise KeyError
