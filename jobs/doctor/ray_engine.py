"""Ray: its settings, what others left, and with `--ray` whether it starts."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from jobs.doctor.finding import Finding, Scope

_PROCESSES = ("raylet", "gcs_server")
_SHARED_MEMORY = Path("/dev/shm")
_OBJECT_STORE_BYTES = 512 * 1024 * 1024


def ray_environment(scope: Scope) -> Iterator[Finding]:
    """Variables and files by which Ray may behave otherwise than meant."""
    del scope
    token = Path.home() / ".ray" / "auth_token"
    if token.exists() and "RAY_AUTH_MODE" not in os.environ:
        yield Finding(
            "ray token",
            "warn",
            f"{token} is there: `ray start` and `ray job submit` turn authentication on halfway "
            "and fail as unauthorised (`memoryflow run` does not mind)",
            "For a cluster of your own set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN on all nodes.",
        )
    if os.environ.get("RAY_ADDRESS"):
        yield Finding(
            "ray address",
            "warn",
            f"RAY_ADDRESS is {os.environ['RAY_ADDRESS']}: ray's own commands go there; "
            "memoryflow does not, unless --address says so",
            "Unset it, or name the cluster with --address.",
        )
    if os.environ.get("RAY_AUTH_MODE") == "token" and not os.environ.get("RAY_AUTH_TOKEN"):
        yield Finding(
            "ray token",
            "warn",
            "RAY_AUTH_MODE=token without RAY_AUTH_TOKEN",
            "Set RAY_AUTH_TOKEN to that of the cluster.",
        )


def leftovers(scope: Scope) -> Iterator[Finding]:
    """Ray processes on this machine: another cluster, a run under way, or one that was killed."""
    del scope
    found = [_told(p) for p in psutil.process_iter(["name", "pid", "ppid"]) if _is_ray(p)]
    if not found:
        yield Finding("ray processes", "ok", "none on this machine")
        return
    yield Finding(
        "ray processes",
        "warn",
        ", ".join(sorted(found)),
        "Runs start a Ray of their own, so this is no obstacle. If nothing of it is in use, end "
        "these processes by their ids.",
    )


def _is_ray(process: psutil.Process) -> bool:
    return process.info["name"] in _PROCESSES


def _told(process: psutil.Process) -> str:
    orphan = " (its parent has ended)" if process.info["ppid"] == 1 else ""
    return f"{process.info['name']} {process.info['pid']}{orphan}"


def shared_memory(scope: Scope) -> Iterator[Finding]:
    """Room for the object store."""
    del scope
    if not _SHARED_MEMORY.is_dir():
        return
    free = shutil.disk_usage(_SHARED_MEMORY).free
    detail = f"{free / 2**20:,.0f} MiB free in {_SHARED_MEMORY}"
    if free < _OBJECT_STORE_BYTES:
        yield Finding(
            "shared memory",
            "warn",
            f"{detail}: Ray's object store goes to disk, and a run slows down",
            "In a container: docker run --shm-size=1g.",
        )
    else:
        yield Finding("shared memory", "ok", detail)


def ray_starts(scope: Scope) -> Iterator[Finding]:
    """With `--ray`: a local Ray starts, runs a task, and ends."""
    if not scope.start_ray:
        yield Finding("ray", "ok", "not started; --ray does")
        return
    from jobs.batch.ray_environment import prepare_ray_environment  # noqa: PLC0415

    prepare_ray_environment(None)  # Before Ray is imported.
    import ray  # noqa: PLC0415
    from ray.exceptions import RayError  # noqa: PLC0415

    from jobs.batch.ray_session import ray_session  # noqa: PLC0415
    from jobs.errors import EngineError  # noqa: PLC0415

    begun = time.monotonic()
    try:
        with ray_session(None, workers=1):
            one = ray.remote(num_cpus=1)(_one).remote()
            answered = ray.get(one, timeout=60) == 1
    except (EngineError, RayError) as error:
        yield Finding(
            "ray",
            "fail",
            f"it does not start: {error}",
            "Look into /tmp/ray/session_latest/logs; often memory, disk or a firewall on loopback.",
        )
        return
    took = f"started, ran a task and ended in {time.monotonic() - begun:.1f} s"
    yield Finding("ray", "ok" if answered else "fail", took)


def _one() -> int:
    return 1
