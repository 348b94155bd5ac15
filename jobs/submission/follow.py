"""Following a job's log to its end, through lost connections."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

from jobs.errors import EngineError, JobError, UsageError
from jobs.submission.cluster import Cluster
from jobs.submission.job import Job

_TRIES = 10
"""Connections in a row that bring nothing new, before the cluster is given up."""

Write = Callable[[str], object]


class StoppedFollowingError(JobError):
    """Ctrl-C: the user has seen enough; the job goes on."""

    exit_code = 130


class JobLog:
    """The log of a job, each character written once whatever the connection does."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self.shown = 0

    async def take(self, pieces: AsyncIterator[str]) -> None:
        """Write what is new in a log that begins anew with every connection."""
        position = 0
        async for piece in pieces:
            new = piece[max(0, self.shown - position) :]
            position += len(piece)
            if new:
                self.shown = position
                self._write(new)


def follow(cluster: Cluster, job_id: str, write: Write, pause: float = 2.0) -> Job:
    """Write the job's log as it comes, and return the job once it has ended.

    Raises:
        UsageError: there is no such job.
        EngineError: the cluster is out of reach for some time; the job may go on.
        StoppedFollowingError: Ctrl-C.
    """
    log = JobLog(write)
    quiet = 0
    try:
        while True:
            shown, reason = log.shown, None
            try:
                job = found(cluster, job_id)
                # Asked before the log is read: of a job that has ended, that is all of it.
                asyncio.run(log.take(cluster.tail(job_id)))
                if not job.active:
                    return job
            except EngineError as error:
                reason = error
            quiet = 0 if log.shown > shown or reason is None else quiet + 1
            if reason is not None and quiet >= _TRIES:
                raise EngineError(f"{reason}. The job may go on; {how_to_follow(cluster, job_id)}")
            # A job counts as ended a moment after its log does.
            time.sleep(pause if log.shown == shown else pause / 10)
    except KeyboardInterrupt:
        raise StoppedFollowingError(
            f"no longer following; the job goes on. {how_to_follow(cluster, job_id)}, "
            f"to stop it: memoryflow job stop {job_id} --address {cluster.address}"
        ) from None


def found(cluster: Cluster, job_id: str) -> Job:
    """The job of this id.

    Raises:
        UsageError: there is none.
    """
    job = cluster.find(job_id)
    if job is None:
        raise UsageError(
            f"the cluster at {cluster.address} has no job '{job_id}'; those it has: memoryflow "
            f"job list --address {cluster.address} (a cluster forgets them when its head ends)"
        )
    return job


def how_to_follow(cluster: Cluster, job_id: str) -> str:
    """The command, as an advice."""
    return f"to follow it: memoryflow job logs {job_id} --follow --address {cluster.address}"
