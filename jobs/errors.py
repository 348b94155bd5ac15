"""What ends a job, with the exit code the contract gives it."""


class JobError(RuntimeError):
    """A job cannot go on; the message says what, where and how to fix it."""

    exit_code = 4


class UsageError(JobError):
    """Wrong use of a command."""

    exit_code = 2


class TooMuchBadInputError(JobError):
    """More dead letters than `--max-bad` allows."""

    exit_code = 3


class EngineError(JobError):
    """Ray, a model or the warehouse failed."""

    exit_code = 4
