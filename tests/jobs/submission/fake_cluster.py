"""A cluster in memory, which says what it was asked for."""

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from jobs.errors import EngineError
from jobs.submission.cluster import JobTakenError
from jobs.submission.job import Job


@dataclass
class Submitted:
    """One call of `submit`; the files are those of the working directory at that moment."""

    job_id: str
    command: str
    environment: dict[str, Any]
    metadata: Mapping[str, str]
    files: frozenset[str]


@dataclass
class FakeCluster:
    """Jobs by id; `connections` are the pieces of log that each call of `tail` brings.

    A piece that is an exception is raised; when all connections are used up, the job has ended
    with `outcome`.
    """

    known: dict[str, Job] = field(default_factory=dict[str, Job])
    connections: list[list[str | BaseException]] = field(
        default_factory=list[list[str | BaseException]]
    )
    outcome: str = "SUCCEEDED"
    exit_code: int | None = 0
    taken: bool = False
    submitted: list[Submitted] = field(default_factory=list[Submitted])
    address: str = "http://cluster:8265"

    def jobs(self) -> list[Job]:
        return list(self.known.values())

    def find(self, job_id: str) -> Job | None:
        job = self.known.get(job_id)
        if job is not None and job.active and not self.connections:
            job = replace(job, status=self.outcome, exit_code=self.exit_code)
            self.known[job_id] = job
        return job

    def submit(
        self,
        job_id: str,
        command: str,
        environment: dict[str, Any],
        metadata: Mapping[str, str],
    ) -> None:
        if self.taken:
            self.known[job_id] = Job(job_id, "RUNNING")
            raise JobTakenError(job_id)
        folder = Path(environment["working_dir"])
        files = frozenset(
            path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
        )
        self.submitted.append(Submitted(job_id, command, environment, metadata, files))
        self.known[job_id] = Job(job_id, "RUNNING", metadata=metadata)

    def logs(self, job_id: str) -> str:
        return "".join(str(piece) for piece in self.connections[-1])

    async def tail(self, job_id: str) -> AsyncIterator[str]:
        for piece in self.connections.pop(0) if self.connections else ():
            if isinstance(piece, BaseException):
                raise piece
            yield piece

    def stop(self, job_id: str) -> bool:
        active = self.known[job_id].active
        if active:
            self.known[job_id] = replace(self.known[job_id], status="STOPPED")
        return active


def lost() -> EngineError:
    return EngineError("the cluster cannot be reached: Connection reset")


def job(job_id: str, status: str, **more: Any) -> Job:
    return Job(job_id, status, **more)


def cluster_with(jobs: Iterable[Job]) -> FakeCluster:
    return FakeCluster({found.id: found for found in jobs})
