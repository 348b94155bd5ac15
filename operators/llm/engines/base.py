"""What the gateway needs of an engine: one call in, one answer out."""

from typing import Protocol

from operators.llm.call import Answer, Request


class CallFailedError(RuntimeError):
    """This call got no answer although the engine answers others: status `unanswered`.

    The message goes into a dead letter: it says what failed, and how often.
    """


class EngineDownError(RuntimeError):
    """No call can be answered: the run stops, because no input is to blame.

    The message is for the operator of the pipeline: it says what to check.
    """


class Engine(Protocol):
    """A language model that answers calls; all methods run in one event loop.

    The gateway calls `complete` for many requests at once, at most `llm.max_in_flight`, and
    never twice for the same `call_id` at a time. Retries for reasons of the engine (busy,
    restarted) are the engine's; retries because of what the answer says are `ask`'s.
    """

    async def complete(self, request: Request, call_id: str) -> Answer:
        """The answer to `request`, with status `ok`, `truncated` or `refused`.

        `call_id` is `request.call_id(llm)`, and goes into the answer as it is.

        Raises:
            CallFailedError: all attempts of this call failed.
            EngineDownError: no call can be answered.
        """
        ...

    async def close(self) -> None:
        """Let go of connections and processes; may be called twice."""
        ...
