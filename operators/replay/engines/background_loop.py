"""An event loop in a thread of its own, for callers that have none."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class BackgroundLoop:
    """Runs coroutines for any number of threads, also those that run a loop themselves."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def run(self, outcome: Coroutine[Any, Any, T]) -> T:
        """What `outcome` gives; an interrupt from the keyboard cancels it."""
        waited_for = asyncio.run_coroutine_threadsafe(outcome, self._loop)
        try:
            return waited_for.result()
        finally:
            waited_for.cancel()

    def close(self) -> None:
        """Cancel what still runs, and end the thread; may be called twice."""
        if not self._loop.is_closed():
            self.run(_cancel_others())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
