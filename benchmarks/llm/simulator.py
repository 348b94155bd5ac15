"""An endpoint that speaks OpenAI's chat completions, without a model: for tests and measurements.

    python -m benchmarks.llm.simulator --port 8000 --latency-ms 200 --concurrency 64
    python -m benchmarks.llm.simulator --truncated 0.1 --http-500 0.1 --hang 1

Prints one line of JSON with its address when it listens; any system whose model is an
OpenAI-compatible endpoint can be pointed at it. Every call is answered after the same time,
plus a time per token of the answer, with valid JSON made of the prompt's own words. At most
`--concurrency` calls are worked on at once; the others wait in order of arrival. Counts are
at `GET /stats` (`POST /stats/reset` sets them to nothing) and, on SIGTERM or SIGINT, in
`--stats-file`. Costs less than 1 ms of CPU a call.
"""

import argparse
import asyncio
import contextlib
import hashlib
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from benchmarks.llm.accounting import Accounting, Call
from benchmarks.llm.chat import BadRequestError, ChatRequest, read_request, reply
from benchmarks.llm.faults import FAULTS, Fault, Faults, malformed, truncated
from benchmarks.llm.hash_vectors import embedding_reply
from benchmarks.llm.rate_limit import RateLimit
from benchmarks.llm.tokens import PrefixCache, TokenCounter

_MODEL = "simulated"
_SLOW = 10
_LARGEST_BODY = 64 << 20


@dataclass(frozen=True)
class Settings:
    """How the endpoint behaves.

    Attributes:
        latency_ms: from getting a place to the answer.
        per_token_ms: more for each token of the answer.
        concurrency: places.
        requests_per_second: more are answered by 429; 0 for no limit.
        retry_after_s: what a 429 among the faults tells the client to wait.
        faults: what goes wrong.
    """

    latency_ms: float = 200.0
    per_token_ms: float = 0.0
    concurrency: int = 64
    requests_per_second: int = 0
    retry_after_s: float = 0.2
    faults: Faults = field(default_factory=Faults)


class Simulator:
    """The endpoint: its handlers and its counts."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tokens = TokenCounter()
        self._places = asyncio.Semaphore(settings.concurrency)
        self._rate = RateLimit(settings.requests_per_second)
        self._hanging = settings.faults.hang
        self._attempts: dict[str, int] = {}
        self.reset()

    def reset(self) -> None:
        """Forget all counts, and the prefix cache; what hangs or failed stays so."""
        self._cache = PrefixCache()
        self.accounting = Accounting()

    def application(self) -> web.Application:
        """The routes."""
        app = web.Application(client_max_size=_LARGEST_BODY)
        app.router.add_post("/v1/chat/completions", self.chat)
        app.router.add_post("/v1/embeddings", self.embeddings)
        app.router.add_get("/v1/models", self.models)
        app.router.add_get("/stats", self.stats)
        app.router.add_post("/stats/reset", self.stats_reset)
        return app

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """One call."""
        body = await request.read()
        try:
            asked = read_request(orjson.loads(body))
        except (BadRequestError, KeyError, TypeError, ValueError) as error:
            self.accounting.errors["http_400"] += 1
            return self._error(400, f"cannot be simulated: {error}")
        key = hashlib.blake2b(body, digest_size=8).hexdigest()
        attempt = self._attempts[key] = self._attempts.get(key, 0) + 1
        fault = self._settings.faults.choose(key, attempt)
        accounting = self.accounting  # The one it arrived at, should it be reset meanwhile.
        call = accounting.arrived(key, asked.prompt)
        try:
            return await self._answered(request, asked, accounting, call, fault)
        except asyncio.CancelledError:
            accounting.abandoned += 1
            raise
        finally:
            accounting.left()

    async def _answered(
        self,
        request: web.Request,
        asked: ChatRequest,
        accounting: Accounting,
        call: Call,
        fault: Fault | None,
    ) -> web.StreamResponse:
        wait = self._settings.retry_after_s if fault == "http_429" else self._rate.take()
        if wait:
            accounting.failed(call, "http_429")
            return self._error(429, "too many requests (simulated)", wait)
        content, finish, usage = self._worked_out(asked, call.key, fault)
        seconds = (self._settings.latency_ms + self._settings.per_token_ms * usage[1]) / 1e3
        async with self._places:
            if self._hanging > 0:
                self._hanging -= 1
                accounting.errors["hang"] += 1
                await asyncio.Event().wait()
            await asyncio.sleep(seconds * (_SLOW if fault == "slow" else 1))
        return self._delivered(request, asked, accounting, call, fault, content, finish, usage)

    def _worked_out(
        self, asked: ChatRequest, key: str, fault: Fault | None
    ) -> tuple[str | None, str, tuple[int, int, int]]:
        """Content, finish reason, and tokens in, out and cached."""
        prompt = self._tokens.prompt(asked.turns)
        content, finish = self._content(asked, key, fault)
        tokens = self._tokens.count(content) if content else 0
        if content and tokens > asked.max_tokens:
            content, finish = content[: len(content) * asked.max_tokens // tokens], "length"
            tokens = asked.max_tokens
        return content, finish, (len(prompt), tokens, self._cache.add(prompt))

    def _content(self, asked: ChatRequest, key: str, fault: Fault | None) -> tuple[str | None, str]:
        if fault == "refuse":
            return None, "stop"
        answer = asked.answer()
        if fault == "truncated":
            return truncated(answer, key), "length"
        return malformed(answer, key) if fault == "malformed" else answer, "stop"

    def _delivered(
        self,
        request: web.Request,
        asked: ChatRequest,
        accounting: Accounting,
        call: Call,
        fault: Fault | None,
        content: str | None,
        finish: str,
        usage: tuple[int, int, int],
    ) -> web.StreamResponse:
        gone = request.transport is None or request.transport.is_closing()
        if gone:
            accounting.abandoned += 1
            return self._error(499, "the client is gone")
        if fault in ("http_500", "disconnect"):
            accounting.failed(call, fault)
            if fault == "disconnect" and request.transport is not None:
                request.transport.abort()
            return self._error(500, "internal error (simulated)")
        if fault is not None:
            accounting.errors[fault] += 1
        accounting.sent(call, *usage)
        return self._json(reply(asked, call.key, content, finish, usage))

    async def embeddings(self, request: web.Request) -> web.StreamResponse:
        """Vectors from hashed words."""
        try:
            body, tokens = embedding_reply(orjson.loads(await request.read()), self._tokens)
        except (KeyError, TypeError, ValueError) as error:
            return self._error(400, f"cannot be embedded: {error}")
        self.accounting.embedding_calls += 1
        self.accounting.embedding_tokens += tokens
        return self._json(body)

    async def models(self, _request: web.Request) -> web.StreamResponse:
        """The one model there is; any name is answered."""
        model = {"id": _MODEL, "object": "model", "created": 0, "owned_by": "memoryflow"}
        return self._json({"object": "list", "data": [model]})

    async def stats(self, _request: web.Request) -> web.StreamResponse:
        """The counts."""
        return self._json(self.accounting.report())

    async def stats_reset(self, _request: web.Request) -> web.StreamResponse:
        """The counts until now; they begin anew."""
        report = self.accounting.report()
        self.reset()
        return self._json(report)

    def _json(self, body: dict[str, Any]) -> web.Response:
        return web.Response(
            body=orjson.dumps(body), content_type="application/json", headers=self._rate.headers()
        )

    def _error(self, status: int, message: str, retry_after: float | None = None) -> web.Response:
        kind = "invalid_request_error" if status == 400 else "server_error"
        body = {"error": {"message": message, "type": kind, "param": None, "code": None}}
        headers = self._rate.headers()
        if retry_after is not None:
            headers["Retry-After"] = f"{retry_after:.3g}"
        return web.Response(
            status=status,
            body=orjson.dumps(body),
            content_type="application/json",
            headers=headers,
        )


@asynccontextmanager
async def listening(
    settings: Settings, host: str = "127.0.0.1", port: int = 0
) -> AsyncGenerator[tuple[Simulator, str]]:
    """A simulator that listens, and its address with `/v1`."""
    simulator = Simulator(settings)
    # With cancellation, a call whose client has gone gives back its place at once.
    runner = web.AppRunner(
        simulator.application(), handler_cancellation=True, access_log=None, shutdown_timeout=0.1
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=4096).start()
        bound = runner.addresses[0][1]
        yield simulator, f"http://{host}:{bound}/v1"
    finally:
        await runner.cleanup()


async def _serve(settings: Settings, host: str, port: int, stats_file: Path | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with listening(settings, host, port) as (simulator, url):
        print(orjson.dumps({"url": url}).decode(), flush=True)
        await stop.wait()
    if stats_file is not None:
        stats_file.write_bytes(orjson.dumps(simulator.accounting.report()))


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--latency-ms", type=float, default=200.0)
    parser.add_argument("--per-token-ms", type=float, default=0.0)
    parser.add_argument("--concurrency", type=int, default=64, help="calls worked on at once")
    parser.add_argument("--requests-per-second", type=int, default=0, help="0: no limit")
    parser.add_argument("--retry-after-s", type=float, default=0.2, help="of --http-429")
    parser.add_argument("--stats-file", type=Path, help="written at the end")
    for fault in FAULTS:
        name = f"--{fault.replace('_', '-')}"
        parser.add_argument(name, type=float, default=0.0, metavar="SHARE")
    parser.add_argument("--hang", type=int, default=0, metavar="N", help="first N never answered")
    parser.add_argument("--seed", type=int, default=0, help="of the faults")
    given = vars(parser.parse_args())
    host, port, stats_file = (given.pop(name) for name in ("host", "port", "stats_file"))
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(settings_of(**given), host, port, stats_file))


def settings_of(**options: Any) -> Settings:
    """Settings from options by name, faults among them."""
    names = {one.name for one in fields(Faults)}
    faults = Faults(**{name: value for name, value in options.items() if name in names})
    rest = {name: value for name, value in options.items() if name not in names}
    return Settings(faults=faults, **rest)


if __name__ == "__main__":
    main()
