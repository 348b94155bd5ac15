"""How a followed job ended, as the exit code of the command that followed it."""

import json
from typing import Any, cast

from jobs.errors import EngineError, JobError
from jobs.submission.job import Job

_STOPPED = 130  # As a run that is interrupted.
_COMMAND_NOT_FOUND = 127
_LOG_LINES = 3


class JobFailedError(JobError):
    """The job has not succeeded; the exit code is its own."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code

    def __reduce__(self) -> tuple[type["JobFailedError"], tuple[str, int]]:
        return type(self), (str(self), self.exit_code)


def exit_code_of(job: Job) -> int:
    """Exit code of the run, as far as it is known."""
    if job.status == "SUCCEEDED":
        return 0
    if job.status == "STOPPED":
        return _STOPPED
    code = job.exit_code
    return code if code is not None and 0 < code < 256 else EngineError.exit_code


def check_succeeded(job: Job, log: str) -> None:
    """Return if the job has succeeded.

    Raises:
        JobFailedError: it has not; says why, as far as can be seen from here.
    """
    code = exit_code_of(job)
    if code == 0:
        return
    if job.status == "STOPPED":
        raise JobFailedError(
            f"{job.id} was stopped; what was committed stays, submit again to go on", code
        )
    raise JobFailedError(f"{job.id} failed (exit code {code}){_why(job, log)}", code)


def report_in(log: str) -> dict[str, Any] | None:
    """The report that `run --json` has printed, from a job's log."""
    for line in reversed(log.splitlines()):
        if line.startswith("{") and '"counters"' in line:
            try:
                return cast("dict[str, Any]", json.loads(line))
            except ValueError:
                continue
    return None


def _why(job: Job, log: str) -> str:
    if job.exit_code == _COMMAND_NOT_FOUND:
        return ": there is no `python` on the PATH of the cluster's nodes; see docs/cluster.md"
    if "ModuleNotFoundError" in log:
        return (
            ": a Python package is missing on the cluster. memoryflow's code is sent with the job, "
            "what it depends on has to be installed on the nodes; see docs/cluster.md"
        )
    if job.exit_code is None:  # It never came to run: there is no log, Ray's message says why.
        return ":\n" + "\n".join(job.message.strip().splitlines()[-_LOG_LINES:])
    return "; the reason is at the end of its log"
