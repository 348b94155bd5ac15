"""What a failure of Ray means to a job, and the model's own words, where it was the model."""

from ray.exceptions import RayError, RayTaskError

from jobs.errors import EngineError
from operators.llm.engines.base import EngineDownError
from operators.llm.errors import BudgetReachedError, ModelUnavailableError

_LOGS = "/tmp/ray/session_latest/logs"


def no_session(error: Exception, address: str | None) -> str:
    """What to tell of a Ray that does not start, or of a cluster that cannot be reached."""
    said = str(error).strip().rstrip(".") or type(error).__name__
    if address is not None:
        return (
            f"Ray: the cluster at {address} cannot be used: {said}. Check the address and that "
            "the cluster runs the same Ray version, or leave --address out for a local one."
        )
    return (
        f"Ray: a local Ray does not start: {said}. Most often the machine is overloaded: "
        "wait until it is less busy and run again; what was committed stays. Where another Ray is "
        f"left over, `ray stop --force` ends every Ray of yours here. Ray's logs: {_LOGS}"
    )


def start_reason(error: RayError) -> str | None:
    """Why a language model does not start; None where it is not to blame."""
    cause = error.cause if isinstance(error, RayTaskError) else None
    if isinstance(cause, EngineDownError | ModelUnavailableError):
        return f"a language model does not start: {cause}"
    return None


def build_failure(error: RayError, what: str) -> BudgetReachedError | EngineError:
    """The error to raise where messages could not be built; `what` begins the message."""
    cause = error.cause if isinstance(error, RayTaskError) else None
    if isinstance(cause, BudgetReachedError):
        return BudgetReachedError(str(cause))
    if isinstance(cause, ModelUnavailableError | EngineError):
        return EngineError(str(cause))
    return EngineError(f"{what}: {error}")
