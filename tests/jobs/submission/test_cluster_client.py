"""What Ray's client makes of the answers of a dashboard, in words for a person."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import ray

from jobs.errors import EngineError, UsageError
from jobs.submission.cluster import JobTakenError, RayCluster

JOB = {
    "type": "SUBMISSION",
    "submission_id": "memoryflow-1",
    "status": "FAILED",
    "entrypoint": "python -m jobs.cli run",
    "driver_exit_code": 3,
    "start_time": 1_700_000_000_000,
    "metadata": {"pipeline": "conversation_memory"},
    "runtime_env": {"env_vars": {"KEY": "sesame"}},
}


@dataclass
class Dashboard:
    """Answers by (method, path prefix): status and body."""

    answers: dict[tuple[str, str], tuple[int, str]] = field(
        default_factory=dict[tuple[str, str], tuple[int, str]]
    )
    url: str = ""
    tokens: set[str | None] = field(default_factory=set[str | None])

    def says(self, method: str, path: str, body: object, status: int = 200) -> None:
        text = body if isinstance(body, str) else json.dumps(body)
        self.answers[method, path] = (status, text)

    def version(self, version: str) -> None:
        self.says("GET", "/api/version", {"version": "4", "ray_version": version})

    def answer(self, method: str, path: str) -> tuple[int, str]:
        found = [key for key in self.answers if key[0] == method and path.startswith(key[1])]
        return self.answers[max(found, key=lambda key: len(key[1]))] if found else (404, "?")


@pytest.fixture
def dashboard() -> Iterator[Dashboard]:
    served = Dashboard()

    class Handler(BaseHTTPRequestHandler):
        def _reply(self) -> None:
            served.tokens.add(self.headers.get("Authorization"))
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, text = served.answer(self.command, self.path)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_PUT = _reply  # noqa: N815 - the names that the server calls

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served.url = f"http://127.0.0.1:{server.server_port}"
        served.version(ray.__version__)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield served
        server.shutdown()


def test_a_job_is_read_without_its_environment(dashboard: Dashboard) -> None:
    dashboard.says("GET", "/api/jobs/memoryflow-1", JOB)
    dashboard.says("GET", "/api/jobs/", [JOB, JOB | {"submission_id": None, "type": "DRIVER"}])
    cluster = RayCluster(dashboard.url)
    job = cluster.find("memoryflow-1")

    assert job is not None
    assert cluster.jobs() == [job]
    assert job.to_json() == {
        "id": "memoryflow-1",
        "status": "FAILED",
        "exit_code": 3,
        "message": "",
        "started": "2023-11-14T22:13:20+00:00",
        "ended": None,
        "entrypoint": "python -m jobs.cli run",
        "metadata": {"pipeline": "conversation_memory"},
    }
    assert "sesame" not in job.render()


def test_a_job_that_is_not_there_is_none(dashboard: Dashboard) -> None:
    dashboard.says("GET", "/api/jobs/x", "Job x does not exist", 404)

    assert RayCluster(dashboard.url).find("x") is None


@pytest.mark.parametrize("version", ["2.59.1", "3.0.0"])
def test_another_ray_is_refused(dashboard: Dashboard, version: str) -> None:
    dashboard.version(version)
    with pytest.raises(EngineError) as caught:
        RayCluster(dashboard.url)
    assert f"runs Ray {version}" in str(caught.value)
    assert f"ray[default]=={ray.__version__}" in str(caught.value)


def test_a_patch_of_the_same_ray_is_accepted(dashboard: Dashboard) -> None:
    dashboard.version(ray.__version__.rpartition(".")[0] + ".99")
    RayCluster(dashboard.url)


@pytest.mark.parametrize(
    ("status", "message"), [(401, "asks for a token"), (403, "does not take this token")]
)
def test_a_token_that_is_refused(dashboard: Dashboard, status: int, message: str) -> None:
    dashboard.says("GET", "/api/version", "no", status)
    with pytest.raises(EngineError, match=message):
        RayCluster(dashboard.url)


@pytest.mark.parametrize(("status", "body"), [(200, "<html>"), (200, "{}"), (404, "<html>")])
def test_what_is_no_dashboard_is_said_to_be_none(
    dashboard: Dashboard, status: int, body: str
) -> None:
    dashboard.says("GET", "/api/version", body, status)
    with pytest.raises(EngineError, match="no Ray dashboard"):
        RayCluster(dashboard.url)


def test_a_dashboard_in_trouble_is_said_to_be(dashboard: Dashboard) -> None:
    dashboard.says("GET", "/api/version", "?", 503)
    with pytest.raises(EngineError, match="answers with an error: 503"):
        RayCluster(dashboard.url)


def test_where_nothing_listens(dashboard: Dashboard) -> None:
    with pytest.raises(EngineError, match="cannot be reached: Connection refused"):
        RayCluster("http://127.0.0.1:1")
    with pytest.raises(EngineError, match=r"cannot be reached: .*not known"):
        RayCluster("http://nowhere.invalid:8265")


def test_a_working_directory_is_sent_and_an_id_that_is_taken_is_said(
    dashboard: Dashboard, tmp_path: Path
) -> None:
    (tmp_path / "a.py").write_text("1")
    dashboard.says("PUT", "/api/packages/gcs/", "{}")
    dashboard.says("POST", "/api/jobs/", {"submission_id": "x", "job_id": "x"})
    cluster = RayCluster(dashboard.url)
    cluster.submit("x", "true", {"working_dir": str(tmp_path)}, {})

    dashboard.says("POST", "/api/jobs/", "Job with submission_id x already exists.", 500)
    with pytest.raises(JobTakenError):
        cluster.submit("x", "true", {"working_dir": str(tmp_path)}, {})


def test_what_ray_refuses_is_an_error_of_the_file(dashboard: Dashboard, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--runtime-env: Ray refuses it"):
        RayCluster(dashboard.url).submit("x", "true", {"pip": ["a"], "uv": ["b"]}, {})
    with pytest.raises(EngineError, match=r"refuses: .*out of order"):
        dashboard.says("POST", "/api/jobs/", "out of order", 500)
        RayCluster(dashboard.url).submit("x", "true", {}, {})
