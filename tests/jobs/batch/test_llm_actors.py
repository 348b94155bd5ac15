"""What Ray's errors of model actors become: short words, the same wherever they were raised."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray.exceptions import ActorDiedError, RayTaskError

from jobs.batch.llm_actors import VllmReplicas, ask_gateway
from operators.llm.call import Answer, Request
from operators.llm.engines.base import CallFailedError, EngineDownError
from operators.llm.errors import BudgetReachedError, ModelUnavailableError
from tests.operators.llm.calls import LLM, request


def task_error(cause: Exception) -> Exception:
    """As a caller of an actor gets it, with where and in which process it was raised."""
    return RayTaskError(
        "complete", "pid=1, ip=127.0.0.1: Traceback ...", cause
    ).as_instanceof_cause()


def replica(outcome: Callable[[], Answer]) -> Any:
    async def remote(*_: object) -> Answer:
        return outcome()

    return SimpleNamespace(complete=SimpleNamespace(remote=remote))


def raising(error: Exception) -> Callable[[], Any]:
    def outcome() -> Any:
        raise error

    return outcome


def complete(outcome: Callable[[], Answer]) -> Answer:
    return asyncio.run(VllmReplicas([replica(outcome)]).complete(request("x"), "call_1"))


@pytest.mark.parametrize("cause", [CallFailedError("no answer"), EngineDownError("no vLLM")])
def test_a_replica_speaks_for_itself(cause: Exception) -> None:
    with pytest.raises(type(cause)) as raised:
        complete(raising(task_error(cause)))
    assert type(raised.value) is type(cause)
    assert str(raised.value) == str(cause)


def test_a_replica_that_is_gone() -> None:
    with pytest.raises(EngineDownError, match="does not start again"):
        complete(raising(ActorDiedError()))


def test_calls_of_a_conversation_go_to_one_replica() -> None:
    asked: list[int] = []

    def place(number: int) -> Callable[[], Answer]:
        def outcome() -> Answer:
            asked.append(number)
            return Answer("call", "ok", "{}")

        return outcome

    replicas = VllmReplicas([replica(place(n)) for n in range(4)])

    async def ask(requests: list[Request]) -> None:
        for one in requests:
            await replicas.complete(one, "call")

    asyncio.run(ask([request(text, conversation="c") for text in "abcdef"]))
    assert len(set(asked)) == 1
    asyncio.run(ask([request("a", conversation=name) for name in "abcdefgh"]))
    assert len(set(asked)) > 1


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (task_error(BudgetReachedError("no more")), BudgetReachedError, "^no more$"),
        (task_error(ModelUnavailableError("is down")), ModelUnavailableError, "^is down$"),
        # A fault of the gateway is none of the conversation that asks: no dead letters.
        (task_error(ZeroDivisionError("a bug")), ModelUnavailableError, "ZeroDivisionError: a bug"),
        (ActorDiedError(), ModelUnavailableError, "the gateway to the model died"),
    ],
)
def test_what_a_worker_hears_of_the_gateway(
    monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type[Exception], said: str
) -> None:
    def get(_: object) -> object:
        raise error

    monkeypatch.setattr(ray, "get", get)
    gateway = SimpleNamespace(generate=SimpleNamespace(remote=lambda *_: None))
    with pytest.raises(kind, match=said) as raised:
        ask_gateway(gateway, LLM, [request("x")])
    assert type(raised.value) is kind
    assert "Traceback" not in str(raised.value)
