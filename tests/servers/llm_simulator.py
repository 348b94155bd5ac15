"""The simulated endpoint in a thread, for tests."""

import asyncio
import json
import threading
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.llm.simulator import Settings, listening, settings_of

_START_SECONDS = 60.0


@dataclass(frozen=True)
class RunningSimulator:
    """A simulator that listens on the loopback address.

    Attributes:
        url: address for `OpenAiLlm(url=...)`, with `/v1`.
    """

    url: str

    def stats(self) -> dict[str, Any]:
        """Its counts (see `benchmarks.llm.accounting`)."""
        return self._read("/stats", "GET")

    def reset(self) -> dict[str, Any]:
        """Its counts until now; they begin anew, with an empty prefix cache."""
        return self._read("/stats/reset", "POST")

    def _read(self, path: str, method: str) -> dict[str, Any]:
        request = urllib.request.Request(self.url.removesuffix("/v1") + path, method=method)
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.load(reply)


@contextmanager
def running_simulator(**options: Any) -> Generator[RunningSimulator]:
    """A simulator for the length of a block; by default it answers at once.

    Options: `latency_ms`, `per_token_ms`, `concurrency`, `requests_per_second`,
    `retry_after_s`, and the faults `http_500`, `http_429`, `disconnect`, `truncated`,
    `malformed`, `refuse`, `slow` (shares), `hang` (number), `seed`.
    """
    server = _Thread(settings_of(**{"latency_ms": 0.0, **options}))
    server.start()
    try:
        yield RunningSimulator(server.address())
    finally:
        server.stop()


class _Thread(threading.Thread):
    def __init__(self, settings: Settings) -> None:
        super().__init__(name="llm-simulator", daemon=True)
        self._settings = settings
        self._loop = asyncio.new_event_loop()
        self._ended = asyncio.Event()
        self._ready = threading.Event()
        self._url = ""

    def run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        async with listening(self._settings) as (_, self._url):
            self._ready.set()
            await self._ended.wait()

    def address(self) -> str:
        if not self._ready.wait(_START_SECONDS):
            raise RuntimeError("the simulator did not start")
        return self._url

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self.join(_START_SECONDS)
