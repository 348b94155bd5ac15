"""Which errors mean that something went with a process or a node, and can be had again."""

from enum import Enum

from ray.exceptions import (
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayActorError,
    RayError,
    RayTaskError,
    WorkerCrashedError,
)

_PROCESS_GONE = (RayActorError, NodeDiedError, OutOfMemoryError, WorkerCrashedError)


class Lost(Enum):
    """What a call failed for."""

    WORKER = "a slice worker"
    OBJECTS = "messages that had been read"


def lost_with(error: RayError) -> Lost | None:
    """What was lost; None for an error that would come again."""
    if isinstance(error, RayTaskError):
        # The call ran, and the worker could not get at what it was given.
        return Lost.OBJECTS if isinstance(error.cause, ObjectLostError) else None
    if isinstance(error, ObjectLostError):
        return Lost.OBJECTS
    if isinstance(error, RayActorError) and error.actor_init_failed:
        return None
    return Lost.WORKER if isinstance(error, _PROCESS_GONE) else None


def in_short(error: BaseException) -> str:
    """The first line that says something: Ray's messages go on with ids, addresses and advice."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
