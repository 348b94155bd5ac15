"""vLLM with the packaged model on CPU: the plumbing, never what the answers say.

One engine for the module; the last test kills it.
"""

import asyncio
import multiprocessing
import os
import signal
import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from importlib.util import find_spec

import psutil
import pytest
from pydantic import BaseModel, Field

from operators.llm.call import Answer, Request
from operators.llm.engines.base import EngineDownError
from operators.llm.engines.vllm_engine import VllmEngine
from operators.llm.packaged.resolve import SMOLLM2
from operators.llm.spec import VllmLlm
from schemas.message import canonical_json

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("vllm") is None, reason="no vLLM here (make setup-llm)"),
]

LLM = VllmLlm(model=SMOLLM2, max_model_len=1024, kv_cache_gib=0.25)
INSTRUCTIONS = "Write down the facts that the numbered lines state, with the line of each. " * 5


class Fact(BaseModel):
    text: str = Field(max_length=24)
    line: int = Field(ge=1, le=9)


class Facts(BaseModel):
    facts: list[Fact] = Field(max_length=1)


def ask_about(text: str, max_tokens: int = 60) -> Request:
    return Request(
        tenant="t",
        conversation_id="c",
        session_id="",
        prompt="test@1:0",
        turns=(("system", INSTRUCTIONS), ("user", text)),
        schema=str(canonical_json(Facts.model_json_schema())),
        max_tokens=max_tokens,
    )


@dataclass
class Host:
    """The engine and the event loop that it lives in."""

    engine: VllmEngine
    runner: asyncio.Runner

    def answers(self, *requests: Request) -> list[Answer]:
        return self.runner.run(self._together(requests))

    async def _together(self, requests: tuple[Request, ...]) -> list[Answer]:
        ids = [f"{r.call_id(LLM)}-{at}" for at, r in enumerate(requests)]
        calls = zip(requests, ids, strict=True)
        answers = await asyncio.gather(*(self.engine.complete(r, i) for r, i in calls))
        assert [answer.call_id for answer in answers] == ids
        return answers


@pytest.fixture(scope="module")
def host() -> Generator[Host]:
    before = dict(os.environ)
    engine = VllmEngine(LLM)
    assert dict(os.environ) == before
    with asyncio.Runner() as runner:
        yield Host(engine, runner)
        runner.run(engine.close())
        runner.run(engine.close())
        with pytest.raises(EngineDownError, match="closed"):
            runner.run(engine.complete(ask_about("[1] x"), "late"))


def test_many_calls_at_once_are_answered_in_the_form_asked_for(host: Host) -> None:
    answers = host.answers(*(ask_about(f"[1] Ann: I have {n} dogs.") for n in range(8)))
    assert {answer.status for answer in answers} == {"ok"}
    for answer in answers:
        assert len(Facts.model_validate_json(answer.text).facts) <= 1
        assert answer.tokens_in > 80
        assert 0 < answer.tokens_out <= 60
        assert answer.latency_ms > 0


def test_equal_calls_have_equal_answers(host: Host) -> None:
    question = ask_about("[1] Bob: we moved to Oslo in May.")
    first, again = host.answers(question)[0], host.answers(question)[0]
    assert again.text == first.text


def test_what_calls_have_in_common_is_computed_once(host: Host) -> None:
    host.answers(ask_about("[1] Cy: hello."))
    (answer,) = host.answers(ask_about("[1] Dee: it rains."))
    assert 64 <= answer.cached_tokens < answer.tokens_in


def test_an_answer_that_is_cut_off_says_so(host: Host) -> None:
    (answer,) = host.answers(ask_about("[1] Eve: I sing.", max_tokens=4))
    assert answer.status == "truncated"
    assert answer.tokens_out == 4


def test_too_long_a_prompt_is_refused_and_others_are_not(host: Host) -> None:
    refused, answered = host.answers(ask_about("word " * 2000), ask_about("[1] Flo: hi."))
    assert refused.status == "refused"
    assert "the model takes 1024" in refused.text
    assert refused.tokens_in > 2000
    assert answered.status == "ok"


def test_a_form_that_the_engine_cannot_enforce_is_refused(host: Host) -> None:
    form = '{"type": "object", "properties": {"a": {"type": "number", "multipleOf": 7}}}'
    (answer,) = host.answers(replace(ask_about("[1] Gil: hi."), schema=form))
    assert answer.status == "refused"
    assert "vLLM cannot take this request" in answer.text


def test_nothing_listens_beyond_this_machine(host: Host) -> None:
    for process in psutil.Process().children(recursive=True):
        for connection in process.net_connections("inet"):
            if connection.status == psutil.CONN_LISTEN:
                assert connection.laddr.ip in ("127.0.0.1", "::1", "::ffff:127.0.0.1")


def test_death_of_the_engine_fails_all_calls_at_once(host: Host) -> None:
    """The last test: nothing is answered after it."""
    (core,) = (child for child in multiprocessing.active_children() if "Engine" in child.name)
    assert core.pid is not None
    workers = psutil.Process(core.pid).children()
    died, errors = host.runner.run(_kill_in_flight(host.engine, core.pid))
    assert died < 60
    assert len(errors) == 6
    for error in errors:
        assert isinstance(error, EngineDownError)
        assert SMOLLM2 in str(error)
    host.runner.run(host.engine.close())
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive


async def _kill_in_flight(engine: VllmEngine, core: int) -> tuple[float, list[object]]:
    endless = '{"type": "array", "items": {"type": "integer"}, "minItems": 600}'
    requests = [
        replace(ask_about(f"[1] Hal: I know {n} songs.", max_tokens=800), schema=endless)
        for n in range(6)
    ]
    calls = [
        asyncio.create_task(engine.complete(request, f"killed-{at}"))
        for at, request in enumerate(requests)
    ]
    await asyncio.sleep(0.5)
    os.kill(core, signal.SIGKILL)
    killed = time.monotonic()
    results = await asyncio.gather(*calls, return_exceptions=True)
    return time.monotonic() - killed, list(results)


def test_calls_sent_as_the_engine_dies_fail_instead_of_waiting() -> None:
    """vLLM itself forgets them if its client had not read anything from the core before."""
    others = set(multiprocessing.active_children())
    engine = VllmEngine(LLM)
    (core,) = (
        child
        for child in multiprocessing.active_children()
        if "Engine" in child.name and child not in others
    )

    async def send_and_kill() -> list[object]:
        calls = [
            asyncio.create_task(engine.complete(ask_about(f"[1] Ida: {n}."), f"early-{n}"))
            for n in range(4)
        ]
        os.kill(core.pid or 0, signal.SIGKILL)
        answers = asyncio.gather(*calls, return_exceptions=True)
        return list(await asyncio.wait_for(answers, 120))

    with asyncio.Runner() as runner:
        errors = runner.run(send_and_kill())
        assert [type(error) for error in errors] == [EngineDownError] * 4
        runner.run(engine.close())
