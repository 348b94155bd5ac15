"""vLLM's async engine from outside: waiting while it lives, and ending it in order."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from vllm.v1.engine.async_llm import AsyncLLM

_LOOK_EVERY = 0.5
"""Seconds between two looks whether the engine still lives."""

Outcome = TypeVar("Outcome")


async def while_alive(
    outcome: Coroutine[Any, Any, Outcome],
    engine: Callable[[], "AsyncLLM | None"],
    died: Callable[[], Exception],
) -> Outcome:
    """What `outcome` gives, unless the engine dies or is closed first: then `died()` is raised.

    vLLM tells the calls in flight that its core has died only if it was reading the core's
    answers by then: without this, calls sent as the core dies would wait for ever.
    """
    waited_for = asyncio.ensure_future(outcome)
    try:
        while not (await asyncio.wait({waited_for}, timeout=_LOOK_EVERY))[0]:
            running = engine()
            if running is None or running.errored:
                raise died()
        return waited_for.result()
    finally:
        waited_for.cancel()


async def shut_down(engine: "AsyncLLM") -> None:
    """End the engine's processes."""
    if engine.output_handler and not engine.output_processor.has_unfinished_requests():
        engine.output_handler.cancel()  # or it logs the end as a failure
    await asyncio.to_thread(engine.shutdown)
    # Its finaliser does it again as the interpreter ends, and complains that half of it is gone.
    engine.shutdown = lambda *_, **__: None
