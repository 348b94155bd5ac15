"""A cluster's jobs: what `submit` and `job` ask of it, and Ray's client behind that."""

import socket
from collections.abc import AsyncIterator, Generator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import aiohttp
import ray
import requests
from ray.exceptions import AuthenticationError
from ray.job_submission import JobSubmissionClient

from jobs.errors import EngineError, JobError, UsageError
from jobs.submission.address import host_and_port, job_address
from jobs.submission.job import Job
from jobs.submission.runtime_env import RuntimeEnv

_CONNECT_SECONDS = 10.0


class JobTakenError(JobError):
    """There is a job of this id already: somebody submitted the same at the same time."""


class Cluster(Protocol):
    """The jobs of one cluster.

    Every method raises EngineError where the cluster cannot be asked or refuses.
    """

    address: str

    def jobs(self) -> list[Job]:
        """All submitted jobs."""
        ...

    def find(self, job_id: str) -> Job | None:
        """The job of this id."""
        ...

    def submit(
        self, job_id: str, command: str, environment: RuntimeEnv, metadata: Mapping[str, str]
    ) -> None:
        """Start a job; `environment` names local folders, which are sent.

        Raises:
            JobTakenError: there is a job of this id.
            UsageError: the environment is not valid.
        """
        ...

    def logs(self, job_id: str) -> str:
        """What the job has written so far."""
        ...

    def tail(self, job_id: str) -> AsyncIterator[str]:
        """The same in pieces, as it is written, until the job ends."""
        ...

    def stop(self, job_id: str) -> bool:
        """Ask the job to end; False where it has."""
        ...


class RayCluster:
    """A cluster reached through the job API of Ray's dashboard.

    Raises:
        UsageError: `address` is none.
        EngineError: nothing answers there, the token is wrong, or another Ray runs there.
    """

    def __init__(self, address: str) -> None:
        self.address = job_address(address)
        with _explained(self.address):
            _check_listening(self.address)
            self._client = _connect(self.address)
        # The client has asked for it when it connected; there is no other way to learn it.
        _check_version(self.address, getattr(self._client, "_server_ray_version", None))

    def jobs(self) -> list[Job]:
        """See `Cluster`."""
        with _explained(self.address):
            return [_job(found) for found in self._client.list_jobs() if found.submission_id]

    def find(self, job_id: str) -> Job | None:
        """See `Cluster`."""
        with _explained(self.address):
            try:
                return _job(self._client.get_job_info(job_id))
            except RuntimeError as error:
                if "status code 404" in str(error):
                    return None
                raise

    def submit(
        self, job_id: str, command: str, environment: RuntimeEnv, metadata: Mapping[str, str]
    ) -> None:
        """See `Cluster`."""
        with _explained(self.address):
            try:
                self._client.submit_job(
                    submission_id=job_id,
                    entrypoint=command,
                    runtime_env=environment,
                    metadata=dict(metadata),
                )
            except RuntimeError as error:
                if "already exists" in str(error):
                    raise JobTakenError(job_id) from error
                raise
            except (TypeError, ValueError) as error:
                raise UsageError(f"--runtime-env: Ray refuses it: {error}") from error

    def logs(self, job_id: str) -> str:
        """See `Cluster`."""
        with _explained(self.address):
            return self._client.get_job_logs(job_id)

    async def tail(self, job_id: str) -> AsyncIterator[str]:
        """See `Cluster`."""
        with _explained(self.address):
            async for piece in self._client.tail_job_logs(job_id):
                yield piece

    def stop(self, job_id: str) -> bool:
        """See `Cluster`."""
        with _explained(self.address):
            return bool(self._client.stop_job(job_id))


def _job(found: Any) -> Job:
    metadata = dict(found.metadata or {})
    return Job(
        id=found.submission_id or "",
        status=str(getattr(found.status, "value", found.status)),
        exit_code=found.driver_exit_code,
        message=found.message or "",
        started=found.start_time,
        ended=found.end_time,
        entrypoint=found.entrypoint,
        metadata=metadata,
    )


def _check_listening(address: str) -> None:
    """OSError soon where nobody listens: Ray's client would wait for minutes."""
    host, port = host_and_port(address)
    with socket.create_connection((host, port), timeout=_CONNECT_SECONDS):
        pass


def _connect(address: str) -> Any:
    try:
        return JobSubmissionClient(address)
    except RuntimeError as error:  # The address of Ray's version is not known there.
        raise _no_dashboard(address) from error


def _no_dashboard(address: str) -> EngineError:
    return EngineError(
        f"what answers at {address} is no Ray dashboard; its port is 8265 unless the head node "
        "was started with --dashboard-port"
    )


def _check_version(address: str, there: str | None) -> None:
    here = ray.__version__
    if there is not None and there.split(".")[:2] != here.split(".")[:2]:
        raise EngineError(
            f"the cluster at {address} runs Ray {there}, this memoryflow is made for {here}. "
            f"Install ray[default]=={here} on its nodes, or submit with the memoryflow they have"
        )


@contextmanager
def _explained(address: str) -> Generator[None]:
    """What goes wrong on the way to the cluster, as a message."""
    try:
        yield
    except AuthenticationError as error:
        # Chained, its text would repeat Ray's advice of three paragraphs.
        raise EngineError(_refusal(address, str(error))) from None
    except (requests.JSONDecodeError, KeyError) as error:
        raise _no_dashboard(address) from error
    except requests.HTTPError as error:
        raise EngineError(f"the cluster at {address} answers with an error: {error}") from error
    except (OSError, aiohttp.ClientError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise EngineError(
            f"the cluster at {address} cannot be reached: {reason or error}. Check the address; "
            "from outside the cluster, the head node's port 8265 has to be forwarded or open"
        ) from error
    except JobError:
        raise
    except RuntimeError as error:
        raise EngineError(f"the cluster at {address} refuses: {error}") from error


def _refusal(address: str, text: str) -> str:
    if text.startswith("Authentication required"):
        return (
            f"the cluster at {address} asks for a token. Set RAY_AUTH_MODE=token, and "
            "RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH (with neither, ~/.ray/auth_token is read)"
        )
    return (
        f"the cluster at {address} does not take this token. It has to be the one its head node "
        "was started with: see RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token"
    )
