"""A real Ray head node with its dashboard, on the loopback address, as a child process."""

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.jobs.processes import REPO, Running, environment
from tests.servers.ports import free_ports

_START_SECONDS = 240.0
_STOP_SECONDS = 60.0
_STORE_BYTES = 200 * 1024 * 1024
_MARK = "MEMORYFLOW_TEST_RUN"


@dataclass(frozen=True)
class RayHead:
    """A head that asks for a token.

    Attributes:
        url: of the dashboard, for `submit --address`.
        gcs: HOST:PORT, for `run --address` and for more nodes.
        token: what it was started with.
        running: its processes.
    """

    url: str
    gcs: str
    token: str
    running: Running

    @property
    def environment(self) -> dict[str, str]:
        """Of a client that may use it."""
        return environment() | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token}


@contextmanager
def running_ray_head(cpus: int = 4) -> Generator[RayHead]:
    """A head for the length of a block; what is left of it is ended by process id."""
    token = secrets.token_hex(32)
    mark = secrets.token_hex(8)
    gcs, dashboard, *others = free_ports(9)
    with tempfile.TemporaryDirectory(prefix="mfray-", ignore_cleanup_errors=True) as folder:
        log = Path(folder) / "head.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                _command(gcs, dashboard, others, folder, cpus),
                cwd=folder,
                env=_environment(token) | {_MARK: mark},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        head = RayHead(
            f"http://127.0.0.1:{dashboard}", f"127.0.0.1:{gcs}", token, Running(process, mark)
        )
        try:
            _wait_until_up(head, log)
            yield head
        finally:
            _end(head.running)


def _command(gcs: int, dashboard: int, others: list[int], folder: str, cpus: int) -> list[str]:
    names = ("object-manager", "node-manager", "dashboard-agent-listen", "dashboard-agent-grpc")
    names += ("runtime-env-agent", "metrics-export", "ray-client-server")
    ray = shutil.which("ray", path=str(Path(sys.executable).parent)) or "ray"
    return [
        *(ray, "start", "--head", "--block", "--disable-usage-stats"),
        *("--node-ip-address=127.0.0.1", f"--port={gcs}", f"--num-cpus={cpus}", "--num-gpus=0"),
        *("--include-dashboard=true", "--dashboard-host=127.0.0.1"),
        *(f"--dashboard-port={dashboard}", f"--temp-dir={folder}/ray"),
        f"--object-store-memory={_STORE_BYTES}",
        # Ray has these chosen by chance, too, but then several heads may take the same.
        *(f"--{name}-port={port}" for name, port in zip(names, others, strict=True)),
    ]


def _environment(token: str) -> dict[str, str]:
    binaries = str(Path(sys.executable).parent)
    return environment() | {
        "PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', '')}",  # `python` of jobs
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": token,
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # else it listens on all interfaces
        "RAY_worker_niceness": "0",
    }


def _wait_until_up(head: RayHead, log: Path) -> None:
    request = urllib.request.Request(
        f"{head.url}/api/version", headers={"Authorization": f"Bearer {head.token}"}
    )
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until and not head.running.ended:
        with contextlib.suppress(OSError, urllib.error.URLError):
            urllib.request.urlopen(request, timeout=30).close()
            return
        time.sleep(0.2)
    raise RuntimeError(f"Ray did not start: {log.read_text()}")


def _end(running: Running) -> None:
    """All its processes, wherever their parents are by now."""
    for process in running.tree():
        with contextlib.suppress(psutil.Error):
            process.terminate()
    psutil.wait_procs(running.alive(), timeout=_STOP_SECONDS)
    for process in running.tree():
        with contextlib.suppress(psutil.Error):
            process.kill()
    running.process.wait(_STOP_SECONDS)


if __name__ == "__main__":
    with running_ray_head() as started:
        print(f"cd {REPO}\nexport RAY_AUTH_MODE=token RAY_AUTH_TOKEN={started.token}")
        print(f"export RAY_API_SERVER_ADDRESS={started.url}", flush=True)
        sys.stdin.read()
