"""A Ray to run on: the caller's cluster, or a local one that only this machine can reach."""

import logging
import os
import socket
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import ray
import stamina

from jobs.batch.ray_failures import no_session
from jobs.errors import EngineError

_IN_A_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Set by Ray where a job runs: its working directory holds our packages already, and Ray
refuses a second runtime environment that names them again."""

_PACKAGES = ("schemas", "operators", "transforms", "pipelines", "jobs")
_CONNECT_SECONDS = 10.0
_STARTS = 4
LOOPBACK = "127.0.0.1"
"""The address of a Ray that is started here: nothing but this machine is in it."""
_OBJECT_STORE_BYTES = 512 * 1024 * 1024  # What does not fit is spilled to disk by Ray.


@contextmanager
def ray_session(address: str | None, workers: int) -> Generator[None]:
    """Connect to `address`, or start a local Ray; shut down again what was started.

    A Ray that this process is connected to already is used as it stands and left running.

    Raises:
        EngineError: Ray does not start or cannot be reached.
    """
    if ray.is_initialized():
        yield
        return
    try:
        if address is None:
            _start_local(workers)
        else:
            _check_reachable(address)
            ray.init(
                address=address,
                log_to_driver=False,
                logging_level=logging.ERROR,
                runtime_env=None if _IN_A_JOB in os.environ else {"py_modules": own_packages()},
            )
    except Exception as error:  # Ray raises bare ones: a node that is too slow to start.
        raise EngineError(no_session(error, address)) from error
    try:
        yield
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """OSError at once where nobody listens: Ray itself would try for minutes."""
    if address.startswith("ray://"):
        raise ConnectionError(
            "a Ray client (ray://) takes no streams of objects. Name the cluster (HOST:6379) on "
            "one of its machines, or use `memoryflow submit`"
        )
    host, _, port = address.rpartition(":")
    if host and port.isdigit():
        with socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS):
            pass


def own_packages() -> list[str]:
    """Folders of memoryflow's packages, which a cluster's nodes are sent.

    The libraries they need have to be installed there.
    """
    root = Path(__file__).parents[2]
    return [str(root / name) for name in _PACKAGES]


def _start_local(workers: int) -> None:
    """Start a Ray; again where it took longer than the 30 s that Ray gives itself."""
    for attempt in stamina.retry_context(
        on=_is_slow_start, attempts=_STARTS, timeout=None, wait_initial=1.0
    ):
        with attempt, _ending_what_failed():
            ray.init(
                address="local",
                num_cpus=workers,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                object_store_memory=_OBJECT_STORE_BYTES,
                _node_ip_address=LOOPBACK,
            )


def _is_slow_start(error: Exception) -> bool:
    return "timed out during startup" in str(error)


@contextmanager
def _ending_what_failed() -> Generator[None]:
    """A Ray that is given up leaves its processes running until this one ends."""
    this = psutil.Process()
    before = set(this.children(recursive=True))
    try:
        yield
    except Exception:
        for process in set(this.children(recursive=True)) - before:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        raise
