import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from apache_beam.runners.portability.local_job_service import LocalJobServicer

from transforms.event_time.live_runner import LiveRunnerError, Windowing
from transforms.event_time.local_runner import LocalRunner
from transforms.event_time.open_runner import open_live_runner
from transforms.event_time.portable_runner import PortableRunner
from transforms.event_time.runs import SessionRun

T = datetime(2025, 3, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
WINDOWING = Windowing(10 * SECOND, 40 * SECOND, None)


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    service = LocalJobServicer(str(tmp_path_factory.mktemp("staging")))
    port = service.start_grpc_server()
    yield f"localhost:{port}"
    service.stop()


def run(token: int, start: float, end: float, name: str = "a") -> SessionRun:
    return SessionRun(("acme", name), token, T + start * SECOND, T + end * SECOND)


@pytest.mark.slow
def test_sessions_of_a_job(endpoint: str) -> None:
    runner = PortableRunner(WINDOWING, endpoint)
    runner.start()
    runner.send([run(1, 0, 5), run(2, 30, 31)])
    runner.advance(T + 5 * SECOND)
    time.sleep(0.3)
    panes = list(runner.panes())
    runner.send([run(3, 12, 14), run(4, 3, 4, "b")])
    panes += runner.finish(120)
    assert sorted((p.conversation[1], p.tokens, p.start, p.end) for p in panes) == [
        ("a", (1, 3), T, T + 14 * SECOND),
        ("a", (2,), T + 30 * SECOND, T + 31 * SECOND),
        ("b", (4,), T + 3 * SECOND, T + 4 * SECOND),
    ]


@pytest.mark.slow
def test_stop_cancels(endpoint: str) -> None:
    runner = PortableRunner(WINDOWING, endpoint)
    runner.start()
    runner.send([run(1, 0, 5)])
    runner.stop()
    runner.stop()
    with pytest.raises(LiveRunnerError):
        runner.panes()


def test_settings() -> None:
    assert isinstance(open_live_runner("local", WINDOWING), LocalRunner)
    assert isinstance(open_live_runner("portable:localhost:8099", WINDOWING), PortableRunner)
    for wrong in ("", "flink", "portable:", "portable:localhost"):
        with pytest.raises(ValueError, match="neither"):
            open_live_runner(wrong, WINDOWING)


@pytest.mark.slow
def test_a_failed_job_surfaces(endpoint: str) -> None:
    # Beam's local job service knows no processing time.
    early = Windowing(10 * SECOND, 40 * SECOND, 1 * SECOND)
    runner = PortableRunner(early, endpoint)
    runner.start()
    runner.send([run(1, 0, 5)])
    with pytest.raises(LiveRunnerError, match="failed"):
        runner.finish(120)
