"""What a failure in a Ray actor means to a job: the model's own words, where it was the model."""

from ray.exceptions import RayError, RayTaskError

from jobs.errors import EngineError
from operators.llm.engines.base import EngineDownError
from operators.llm.errors import BudgetReachedError, ModelUnavailableError


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
