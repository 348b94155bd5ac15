"""A stream whose windows another Beam runner keeps: Beam's own job service stands for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from apache_beam.runners.portability.local_job_service import LocalJobServicer

from tests.jobs.stream.here import append, batch_here, digest_at, quick_plan, stream_here
from tests.pipelines.test_function_of_the_log import STORY


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    service = LocalJobServicer(str(tmp_path_factory.mktemp("staging")))
    port = service.start_grpc_server()
    yield f"localhost:{port}"
    service.stop()


@pytest.mark.slow
def test_a_portable_runner_gives_what_one_batch_run_gives(endpoint: str, tmp_path: Path) -> None:
    # That job service knows no processing time, so sessions fire when they close.
    using = quick_plan(tmp_path, early="null", runner=f"portable:{endpoint}")
    lines = [message.model_dump_json(exclude_none=True).encode() for message in STORY]
    logs = tmp_path / "logs"
    logs.mkdir()
    for chunk in (lines[2:3], [*lines[:2], lines[0]], lines[3:]):
        append(logs / "log.jsonl", chunk)
        report = stream_here(tmp_path / "streamed", [str(logs)], using, until_idle=1.0)
        assert report.commits

    batch_here(tmp_path / "batch", lines, using)
    assert digest_at(tmp_path / "streamed") == digest_at(tmp_path / "batch")
