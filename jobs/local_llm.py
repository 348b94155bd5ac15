"""Language models in this very process, for jobs that need no cluster."""

import asyncio
import gc
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

from jobs.llm_gateways import NO_LIMITS, Gateways, Limits
from operators.llm.call import Answer, Request
from operators.llm.engines.base import Engine
from operators.llm.spec import AnyLlm, VllmLlm


class LocalLlms:
    """Gateways in a thread with an event loop of its own.

    Args:
        answers: recorded ones, which are not asked for again.
        limits: what may be spent.
        journal: folder of the journals; None keeps none.
    """

    def __init__(
        self,
        answers: Iterable[Answer] = (),
        limits: Limits = NO_LIMITS,
        journal: Path | None = None,
    ) -> None:
        self._loop = asyncio.new_event_loop()
        run = self._loop.run_forever
        self._thread = threading.Thread(target=run, name="llm-gateway", daemon=True)
        self._thread.start()
        self._gateways = Gateways(journal, limits, _open_vllm)
        self._gateways.remember(answers)

    def generate(self, llm: AnyLlm, requests: Sequence[Request]) -> list[Answer]:
        """Answers in order."""
        call = self._gateways.generate(llm, requests)
        return asyncio.run_coroutine_threadsafe(call, self._loop).result()

    def close(self) -> None:
        """End the engines."""
        asyncio.run_coroutine_threadsafe(self._gateways.close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        gc.collect()  # vLLM's client complains if the interpreter ends before it is gone.


async def _open_vllm(llm: VllmLlm) -> Engine:
    # Only here: it takes seconds to import, and an installation without it does the rest.
    from operators.llm.engines.vllm_engine import VllmEngine  # noqa: PLC0415

    return VllmEngine(llm)
