"""Requests and engines for the tests of the gateway."""

import asyncio

from operators.llm.call import Answer, Request
from operators.llm.engines.base import CallFailedError, EngineDownError
from operators.llm.spec import OpenAiLlm, Price

LLM = OpenAiLlm(
    model="test", url="http://127.0.0.1:9/v1", price=Price(input=1.0, output=2.0), max_in_flight=4
)
SCHEMA = '{"properties":{"text":{"type":"string"}},"required":["text"],"type":"object"}'


def request(text: str, *, conversation: str = "c", prompt: str = "p@1:0") -> Request:
    turns = (("system", "Say something."), ("user", text))
    return Request("t", conversation, "", prompt, turns, SCHEMA, 64)


class FakeEngine:
    """Answers "re: TEXT" when `release`d (from the start, unless `held`); 10 tokens in, 5 out.

    A text `fail` fails, `down` finds the engine down, `bug` raises something else.
    """

    def __init__(self, *, held: bool = False) -> None:
        self.asked: list[str] = []
        self.answered: list[str] = []
        self.most_in_flight = 0
        self.closed = 0
        self._in_flight = 0
        self.gate = asyncio.Event()
        if not held:
            self.gate.set()

    async def complete(self, request: Request, call_id: str) -> Answer:
        text = request.turns[-1][1]
        self.asked.append(text)
        self._in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self._in_flight)
        try:
            self._fail(text)
            await self.gate.wait()
            await asyncio.sleep(0)
        finally:
            self._in_flight -= 1
        self.answered.append(text)
        return Answer(call_id, "ok", f"re: {text}", 10, 5, 4, 1.0)

    async def close(self) -> None:
        self.closed += 1

    def _fail(self, text: str) -> None:
        if text == "fail":
            raise CallFailedError("6 attempts failed")
        if text == "down":
            raise EngineDownError("nobody there")
        if text == "bug":
            raise ZeroDivisionError("a bug")
