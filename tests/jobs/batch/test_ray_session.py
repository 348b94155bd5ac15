"""A Ray that does not start is told in words, with the exit code of a failed engine."""

from typing import Any

import pytest
import ray

from jobs.batch.ray_session import ray_session
from jobs.errors import EngineError

SLOW = "The current node timed out during startup. Some of the raylet failed to startup."


def fail(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def init(**_: Any) -> None:
        raise error

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)


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
