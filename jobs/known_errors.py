"""Which exceptions are messages to the user, and the exit code of each."""

from jobs.errors import EngineError, JobError
from jobs.sql import SqlError
from jobs.why import UnknownIdError
from operators.llm.errors import ModelUnavailableError
from pipelines.errors import PipelineError
from transforms.event_time.live_runner import LiveRunnerError
from transforms.sources.errors import InputError
from transforms.sources.live.protocol import SourceDownError
from transforms.warehouse.errors import WarehouseError

_USAGE = 2

_CODES: tuple[tuple[type[Exception], int], ...] = (
    (PipelineError, _USAGE),
    (InputError, _USAGE),
    (SqlError, _USAGE),
    (UnknownIdError, _USAGE),
    (SourceDownError, EngineError.exit_code),
    (LiveRunnerError, EngineError.exit_code),
    (WarehouseError, EngineError.exit_code),
    (ModelUnavailableError, EngineError.exit_code),
)


def exit_code_of(error: Exception) -> int | None:
    """Exit code of an error that is meant for the user; None for a defect of ours."""
    if isinstance(error, JobError):
        return error.exit_code
    return next((code for kind, code in _CODES if isinstance(error, kind)), None)
