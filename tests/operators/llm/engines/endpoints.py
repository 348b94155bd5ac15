"""Endpoints that behave as a test says, and the engine that talks to them."""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from operators.llm.call import Answer, Request
from operators.llm.engines.openai_endpoint import OpenAiEngine
from operators.llm.spec import OpenAiLlm
from tests.operators.llm.calls import request

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def endpoint(handler: Handler) -> AsyncGenerator[str]:
    """Address, with `/v1`, of a server whose completions `handler` answers."""
    app = web.Application()
    app.router.add_post("/v1/chat/completions", handler)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


class Scripted:
    """Gives its responses one after the other, the last one for ever; keeps what it was sent.

    A response is (status, body, headers), or a function that makes one.
    """

    def __init__(self, *responses: Any) -> None:
        self._responses = list(responses)
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(json.loads(await request.read()))
        self.headers.append(dict(request.headers))
        several = len(self._responses) > 1
        response = self._responses.pop(0) if several else self._responses[0]
        if callable(response):
            return await response(request)
        status, body, headers = (*response, {})[:3]
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(status=status, text=text, headers=headers)


def completion(content: str | None, finish: str = "stop", **message: Any) -> dict[str, Any]:
    return {
        "choices": [{"message": {"content": content, **message}, "finish_reason": finish}],
        "usage": {
            "prompt_tokens": 20,
            "completion_tokens": 7,
            "prompt_tokens_details": {"cached_tokens": 16},
        },
    }


def failure(message: str, **fields: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": "t", "code": None, "param": None, **fields}}


def llm_at(url: str, **settings: Any) -> OpenAiLlm:
    return OpenAiLlm(**{"model": "m", "url": url, "attempts": 3, **settings})


async def asked(llm: OpenAiLlm, *requests: Request) -> list[Answer]:
    """Answers of a new engine, one call after the other."""
    engine = OpenAiEngine(llm)
    try:
        wanted = requests or (request("hello"),)
        return [await engine.complete(one, one.call_id(llm)) for one in wanted]
    finally:
        await engine.close()
