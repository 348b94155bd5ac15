"""Models for operator tests: hashed words as vectors, and answers without a language model."""

import json
from collections.abc import Callable, Sequence

from benchmarks.llm.plausible import plausible_answer
from operators.llm.call import Answer, Request
from operators.llm.spec import AnyLlm, OpenAiLlm
from tests.operators.samples import HashModels

LLM = OpenAiLlm(model="simulated", url="http://127.0.0.1:9/v1")
"""A model for operators under test; nobody listens there."""


class ScriptedModels(HashModels):
    """Answers every request by a function: a text, or a whole answer.

    Attributes:
        requests: all requests, in order.
        rounds: calls of `generate` with at least one request: round trips.
        calls: requests answered.
        set_aside_requests, set_aside_reasons: what operators could not use, in order.
    """

    def __init__(self, script: Callable[[Request], str | Answer]) -> None:
        super().__init__()
        self._script = script
        self.requests: list[Request] = []
        self.rounds = 0
        self.set_aside_requests: list[Request] = []
        self.set_aside_reasons: list[str] = []

    @property
    def calls(self) -> int:
        return len(self.requests)

    @property
    def users(self) -> list[str]:
        """The last user turn of every request."""
        return [request.turns[-1][1] for request in self.requests]

    def generate(self, llm: AnyLlm, requests: Sequence[Request]) -> list[Answer]:
        self.requests += requests
        self.rounds += bool(requests)
        return [self._answer(llm, request) for request in requests]

    def _answer(self, llm: AnyLlm, request: Request) -> Answer:
        answer = self._script(request)
        if isinstance(answer, Answer):
            return answer
        sent = sum(len(text.split()) for _, text in request.turns)
        return Answer(request.call_id(llm), "ok", answer, sent, len(answer.split()))

    def set_aside(self, request: Request, answer: Answer, reason: str) -> None:
        self.set_aside_requests.append(request)
        self.set_aside_reasons.append(reason)


class PlausibleModels(ScriptedModels):
    """Answers as the simulated endpoint does: valid and near-verbatim."""

    def __init__(self) -> None:
        super().__init__(plausible)


def plausible(request: Request) -> str:
    """The simulated endpoint's answer."""
    return plausible_answer(request.turns, json.loads(request.schema), request.max_tokens)
