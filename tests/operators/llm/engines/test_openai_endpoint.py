"""The fault matrix of an endpoint: what is tried again, what is an answer, what stops the run."""

import asyncio
import socket
import traceback
from collections.abc import Callable
from datetime import timedelta

import pytest
import stamina
from aiohttp import web

from operators.llm.engines.base import CallFailedError, EngineDownError
from operators.llm.engines.openai_endpoint import OpenAiEngine
from operators.llm.engines.rate_pacer import RatePacer
from operators.llm.gateway import Gateway
from tests.operators.llm.calls import request
from tests.operators.llm.engines.endpoints import (
    Scripted,
    asked,
    completion,
    endpoint,
    failure,
    llm_at,
)
from tests.servers.llm_simulator import running_simulator

KEY = "sk-very-secret-4711"
GOOD = (200, completion('{"text": "hi"}'))


@pytest.fixture
def no_waits():
    with stamina.set_testing(True, attempts=100, cap=True):
        yield


def at(script: Scripted, *requests, **settings):
    async def work():
        async with endpoint(script) as url:
            return await asyncio.wait_for(asked(llm_at(url, **settings), *requests), 120)

    return asyncio.run(work())


async def hang(_request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(60)
    return web.Response()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(120):
        while not condition():
            await asyncio.sleep(0.001)


async def disconnect(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def broken_off(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"choices"')
    await disconnect(request)
    return response


@pytest.fixture
def silent_port():
    """Where nobody listens, and nobody else can come to."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        yield one.getsockname()[1]


def test_an_answer_comes_at_the_first_attempt():
    script = Scripted(GOOD)
    (answer,) = at(script)
    assert (answer.status, answer.text) == ("ok", '{"text": "hi"}')
    assert answer.call_id
    assert answer.latency_ms > 0
    assert len(script.bodies) == 1
    assert "Authorization" not in script.headers[0]


@pytest.mark.usefixtures("no_waits")
@pytest.mark.parametrize(
    "fault",
    [
        *((status, failure("busy")) for status in (408, 409, 429, 500, 502, 503, 504, 529)),
        (500, "<html>"),
        (200, "no JSON"),
        (200, {"choices": []}),
        (200, failure("overloaded")),
        disconnect,
        broken_off,
    ],
)
def test_what_may_pass_is_tried_again(fault):
    script = Scripted(fault, fault, GOOD)
    (answer,) = at(script)
    assert answer.status == "ok"
    assert len(script.bodies) == 3
    assert script.bodies[0] == script.bodies[2]


@pytest.mark.usefixtures("no_waits")
def test_a_call_that_hangs_is_tried_again():
    """A machine that stands still may take the good answer's time, too: more attempts."""
    script = Scripted(hang, hang, GOOD)
    (answer,) = at(script, timeout=timedelta(seconds=0.2), attempts=50)
    assert answer.status == "ok"
    assert len(script.bodies) >= 3
    assert script.bodies[0] == script.bodies[-1]


@pytest.mark.usefixtures("no_waits")
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ((500, failure("it burns")), "500: it burns"),
        ((429, failure("slow down")), "429: slow down"),
        ((200, "no JSON"), "no JSON"),
        (disconnect, "the connection broke"),
    ],
)
def test_a_call_that_fails_alone_fails_alone(fault, said: str):
    script = Scripted(GOOD, fault)
    with pytest.raises(CallFailedError, match=f"3 attempts .*{said}"):
        at(script, request("a"), request("b"))
    assert len(script.bodies) == 4


@pytest.mark.usefixtures("no_waits")
def test_a_call_that_always_hangs_fails():
    script = Scripted(hang)
    with pytest.raises(CallFailedError, match=r"3 attempts .*no answer within 0\.1 s"):
        at(script, timeout=timedelta(seconds=0.1))
    assert len(script.bodies) == 3


@pytest.mark.usefixtures("no_waits")
def test_an_endpoint_that_answers_no_call_is_down():
    script = Scripted((500, failure("it burns")))

    async def work():
        async with endpoint(script) as url:
            llm = llm_at(url)
            engine = OpenAiEngine(llm)
            calls = [engine.complete(request(f"{n}"), f"{n}") for n in range(30)]
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            await engine.close()
            return outcomes

    outcomes = asyncio.run(work())
    down = [o for o in outcomes if isinstance(o, EngineDownError)]
    assert len(down) > 10
    assert "it burns" in str(down[0])
    assert "max_in_flight" in str(down[0])


@pytest.mark.usefixtures("no_waits")
def test_an_endpoint_that_is_not_there_is_down(silent_port: int):
    url = f"http://127.0.0.1:{silent_port}/v1"
    with pytest.raises(EngineDownError, match=f"{url} does not answer; 3 attempts .*Check that"):
        asyncio.run(asked(llm_at(url)))


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_is_wrong_with_a_request_is_its_answer(status: int):
    script = Scripted((status, failure("the prompt is too long")))
    (answer,) = at(script)
    assert (answer.status, answer.text) == ("refused", "the prompt is too long")
    assert len(script.bodies) == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (completion('{"te', "length"), "truncated"),
        (completion(None, "content_filter"), "refused"),
        (completion(None, refusal="no"), "refused"),
    ],
)
def test_answers_that_are_cut_or_refused_are_not_tried_again(body, status: str):
    script = Scripted((200, body))
    (answer,) = at(script)
    assert answer.status == status
    assert len(script.bodies) == 1


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ((401, failure("bad key")), "401.*bad key.*variable TEST_KEY"),
        ((403, failure("not yours")), "403.*variable TEST_KEY"),
        ((404, failure("no such model")), "404.*no such model.*`url`.*`model` 'm'"),
        ((301, "", {"Location": "http://127.0.0.1:9/"}), "301.*`url`"),
        ((402, failure("pay first")), "402.*pay first"),
        ((429, failure("no money", code="insufficient_quota")), "quota"),
        ((400, failure("no seeds", param="seed")), "setting.*no seeds"),
        ((400, failure("no max_tokens", code="unsupported_parameter")), "setting"),
        ((429, failure("later"), {"Retry-After": "7200"}), "Retry-After"),
    ],
)
def test_what_holds_for_all_calls_stops_the_run(fault, said: str, monkeypatch):
    monkeypatch.setenv("TEST_KEY", KEY)
    script = Scripted(fault)
    with pytest.raises(EngineDownError, match=f"(?s){said}"):
        at(script, api_key_env="TEST_KEY")
    assert len(script.bodies) == 1


def test_without_a_key_it_says_where_it_is_looked_for(monkeypatch):
    monkeypatch.setenv("TEST_KEY", "  ")
    script = Scripted(GOOD)
    with pytest.raises(EngineDownError, match="TEST_KEY holds no key"):
        at(script, api_key_env="TEST_KEY")
    assert not script.bodies


def test_retry_after_holds_all_calls_back():
    script = Scripted((429, failure("busy"), {"Retry-After": "7"}), GOOD)
    now, held = 0.0, list[float]()
    over = asyncio.Event()

    async def hold(seconds: float) -> None:
        nonlocal now
        held.append(seconds)
        await over.wait()
        now = 7.0

    async def work():
        async with endpoint(script) as url:
            llm = llm_at(url)
            engine = OpenAiEngine(llm, RatePacer(now=lambda: now, sleep=hold))
            calls = [asyncio.create_task(engine.complete(request("a"), "a"))]
            await until(lambda: len(held) == 1)
            calls.append(asyncio.create_task(engine.complete(request("b"), "b")))
            await until(lambda: len(held) == 2)
            sent = len(script.bodies)
            over.set()
            answers = await asyncio.gather(*calls)
            await engine.close()
            return sent, {answer.status for answer in answers}

    assert asyncio.run(work()) == (1, {"ok"})
    assert held == [7.0, 7.0]
    assert len(script.bodies) == 3


def test_calls_that_are_turned_away_get_their_turn():
    busy = asyncio.Lock()
    turned_away = 0

    async def one_at_a_time(_request: web.Request) -> web.StreamResponse:
        nonlocal turned_away
        if busy.locked():
            turned_away += 1
            return web.json_response(failure("busy"), status=429)
        async with busy:
            await asyncio.sleep(0.05)  # So long that some of the others always meet again.
        return web.json_response(completion("{}"))

    async def work():
        async with endpoint(one_at_a_time) as url:
            llm = llm_at(url, attempts=2)
            engine = OpenAiEngine(llm)
            calls = [engine.complete(request(f"{n}"), f"{n}") for n in range(10)]
            answers = await asyncio.gather(*calls)
            await engine.close()
            return answers

    assert {answer.status for answer in asyncio.run(work())} == {"ok"}
    assert turned_away > 10


@pytest.mark.usefixtures("no_waits")
@pytest.mark.parametrize(
    "fault",
    [
        (401, failure(f"Incorrect API key provided: {KEY}")),
        (500, failure(f"cannot log in by {KEY}")),
        (500, f"headers were: Bearer {KEY}"),
        (200, f"what is {KEY}?"),
        (400, failure("no", param="seed")),
        hang,
        disconnect,
        broken_off,
    ],
)
def test_a_key_is_in_no_error_and_no_repr(fault, monkeypatch, caplog):
    monkeypatch.setenv("TEST_KEY", KEY)
    script = Scripted(fault)
    with (
        caplog.at_level("DEBUG"),
        pytest.raises((CallFailedError, EngineDownError)) as caught,
    ):
        at(script, api_key_env="TEST_KEY", timeout=timedelta(seconds=0.2))
    assert script.headers[0]["Authorization"] == f"Bearer {KEY}"
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    own = [frame for frame in shown.stack if "/operators/" in frame.filename]
    assert own
    for frame in own:
        if "/tests/" not in frame.filename:
            assert KEY not in str(frame.locals)
    assert KEY not in str(caught.value) + repr(caught.value) + caplog.text


def test_a_key_is_in_no_answer_and_no_repr_of_the_engine(monkeypatch):
    monkeypatch.setenv("TEST_KEY", f"{KEY}\n")
    (answer,) = at(Scripted((400, failure(f"who is {KEY}?"))), api_key_env="TEST_KEY")
    assert answer.text == "who is ***?"
    (answer,) = at(Scripted((200, completion(None, refusal=KEY))), api_key_env="TEST_KEY")
    assert answer.text == "***"
    engine = OpenAiEngine(llm_at("http://127.0.0.1:9/v1", api_key_env="TEST_KEY"))
    assert KEY not in repr(engine) + str(vars(engine))


@pytest.mark.usefixtures("no_waits")
def test_what_an_address_hides_is_not_shown(silent_port: int):
    url = f"http://user:{KEY}@127.0.0.1:{silent_port}/v1?token={KEY}"
    with pytest.raises(EngineDownError) as caught:
        asyncio.run(asked(llm_at(url)))
    assert KEY not in str(caught.value)


def test_a_query_stays_behind_the_path():
    seen: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append(request.path_qs)
        return web.json_response(completion("{}"))

    async def work():
        async with endpoint(handler) as url:
            await asked(llm_at(f"{url}/?api-version=2"))

    asyncio.run(work())
    assert seen == ["/v1/chat/completions?api-version=2"]


def through_the_gateway(calls: int, simulator, **settings):
    async def work():
        llm = llm_at(simulator.url, max_in_flight=8, **{"attempts": 6, **settings})
        gateway = Gateway(llm, OpenAiEngine(llm))
        requests = [request(f"[1] Ada said that she has {n} cats in Rome.") for n in range(calls)]
        try:
            return await asyncio.wait_for(gateway.generate(requests), 180), gateway.spent()
        finally:
            await gateway.close()

    return asyncio.run(work())


@pytest.mark.usefixtures("no_waits")
def test_simulated_faults_lose_no_call():
    faults = {"http_500": 0.1, "disconnect": 0.05, "truncated": 0.1, "refuse": 0.05}
    with running_simulator(latency_ms=2.0, concurrency=64, **faults) as simulator:
        answers, spent = through_the_gateway(120, simulator)
        stats = simulator.stats()
    statuses = [answer.status for answer in answers]
    assert len(statuses) == 120
    assert set(statuses) == {"ok", "truncated", "refused"}
    assert stats["answered"] == spent["calls"] == 120
    assert stats["repeated_calls"] == 0
    assert stats["max_in_flight"] <= 8
    assert spent["tokens_in"] == stats["tokens_in"]
    assert spent["tokens_out"] == stats["tokens_out"]
    assert spent["cached_tokens"] == stats["cached_tokens"]


@pytest.mark.usefixtures("no_waits")
def test_a_simulated_call_that_hangs_is_not_lost():
    with running_simulator(latency_ms=2.0, concurrency=64, hang=1) as simulator:
        answers, _ = through_the_gateway(20, simulator, timeout=timedelta(seconds=1), attempts=50)
        stats = simulator.stats()
    assert [answer.status for answer in answers] == ["ok"] * 20
    assert stats["errors"]["hang"] == 1
    assert stats["distinct_calls"] == 20


@pytest.mark.usefixtures("no_waits")
def test_simulated_rate_limits_are_kept():
    with running_simulator(http_429=0.2, retry_after_s=0.05) as simulator:
        answers, _ = through_the_gateway(40, simulator)
        assert simulator.stats()["errors"]["http_429"] > 0
    assert {answer.status for answer in answers} == {"ok"}
