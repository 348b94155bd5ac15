"""Submitting a run once, however often it is asked for."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jobs.submission.application import staged_application
from jobs.submission.cluster import Cluster, JobTakenError
from jobs.submission.follow import found
from jobs.submission.job import Job
from jobs.submission.request import RunRequest
from jobs.submission.runtime_env import RuntimeEnv


@dataclass(frozen=True)
class Submission:
    """What came of it.

    Attributes:
        job: the one that runs the request, or has run it.
        new: it was started just now.
    """

    job: Job
    new: bool


def submit(
    cluster: Cluster,
    request: RunRequest,
    environment: RuntimeEnv,
    *,
    again: bool = False,
    tell: Callable[[str], object] = print,
) -> Submission:
    """Start the request's job, unless one runs or has succeeded.

    A job that failed or was stopped is followed by another of the same id with a number: Ray
    does not let an id be used twice. `again` does so after one that has succeeded, too.

    Raises:
        EngineError, UsageError: as `Cluster.submit`.
    """
    attempts = attempts_of(request.submission_id, cluster.jobs())
    last = attempts[-1] if attempts else None
    if last is not None and (last.active or (last.status == "SUCCEEDED" and not again)):
        tell(_already(last))
        return Submission(last, new=False)
    number = _attempt(request.submission_id, last.id) if last else 0
    job_id = attempt_id(request.submission_id, number + 1)
    try:
        with staged_application(request.file) as folder:
            cluster.submit(
                job_id,
                shlex.join(request.command),
                environment | {"working_dir": str(folder)},
                request.metadata,
            )
    except JobTakenError:
        tell(f"{job_id} was submitted by somebody else at this moment")
        return Submission(found(cluster, job_id), new=False)
    tell(f"submitted {job_id}" + (f" ({last.id}: {last.status})" if last else ""))
    return Submission(found(cluster, job_id), new=True)


def attempts_of(submission_id: str, jobs: Sequence[Job]) -> list[Job]:
    """Jobs that were started for one request, in their order.

    Numbers may be missing: `ray job delete` removes jobs that have ended.
    """
    ours = [job for job in jobs if _attempt(submission_id, job.id)]
    return sorted(ours, key=lambda job: _attempt(submission_id, job.id))


def attempt_id(submission_id: str, number: int) -> str:
    """The id of the first, second, ... job for a request."""
    return submission_id if number == 1 else f"{submission_id}-{number}"


def _attempt(submission_id: str, job_id: str) -> int:
    """The number in an id of `attempt_id`; 0 where it is of another request."""
    number = job_id.removeprefix(f"{submission_id}-")
    if job_id == submission_id:
        return 1
    return int(number) if number != job_id and number.isdecimal() else 0


def _already(job: Job) -> str:
    if job.active:
        return f"{job.id} runs already: this is its log"
    return (
        f"{job.id} has run this already and succeeded: this is its log. If there is more input "
        "by now, submit with --again: only what is new is computed"
    )
