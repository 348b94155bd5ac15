"""The simulated endpoint over HTTP: form of replies, queue, faults, counts."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import Any

import aiohttp
import jsonschema
import pytest

from tests.servers.llm_simulator import RunningSimulator, running_simulator

SCHEMA = {
    "type": "object",
    "properties": {
        "facts": {
            "type": "array",
            "maxItems": 5,
            "items": {
                "type": "object",
                "properties": {"line": {"type": "integer"}, "text": {"type": "string"}},
                "required": ["line", "text"],
            },
        }
    },
    "required": ["facts"],
}
SYSTEM = "You list the facts of a conversation. " * 10


def body(number: int = 0, **more: Any) -> dict[str, Any]:
    user = f"[1] Ann: I moved to Rome in house {number}.\n[2] Ben: My sister keeps two grey cats."
    form = {"type": "json_schema", "json_schema": {"name": "facts", "schema": SCHEMA}}
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": user}]
    return {"model": "m", "messages": messages, "response_format": form, "max_tokens": 300} | more


Reply = tuple[int, dict[str, Any], dict[str, str]]


def post(url: str, *bodies: Any, path: str = "/chat/completions") -> list[Reply]:
    """All at once."""

    async def one(session: aiohttp.ClientSession, sent: Any) -> Reply:
        async with session.post(url + path, json=sent) as reply:
            return reply.status, await reply.json(), dict(reply.headers)

    async def all_of_them() -> list[Reply]:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            return await asyncio.gather(*(one(session, sent) for sent in bodies))

    return asyncio.run(all_of_them())


def content(reply: Reply) -> Any:
    return reply[1]["choices"][0]["message"]["content"]


def test_an_answer_is_valid_near_verbatim_and_the_same_again() -> None:
    with running_simulator() as simulator:
        first, again = (post(simulator.url, body())[0] for _ in range(2))
        stats = simulator.stats()
    answer = json.loads(content(first))
    jsonschema.validate(answer, SCHEMA)
    assert answer["facts"] == [
        {"line": 1, "text": "Ann moved to Rome in house 0."},
        {"line": 2, "text": "Ben's sister keeps two grey cats."},
    ]
    assert content(again) == content(first)
    assert first[1]["choices"][0]["finish_reason"] == "stop"
    assert stats["calls"] == 2
    assert stats["distinct_calls"] == 1
    assert stats["repeated_calls"] == 1
    assert list(stats["repeated"].values()) == [2]
    assert stats["depth"] == 2
    assert list(stats["prompts"]) == ["You list the facts of a conversation. You"]


def test_a_common_prefix_is_cached_in_whole_blocks() -> None:
    with running_simulator() as simulator:
        replies = post(simulator.url, body(1)) + post(simulator.url, body(2))
        stats = simulator.reset()
        assert simulator.stats()["calls"] == 0
    cold, warm = (reply[1]["usage"]["prompt_tokens_details"]["cached_tokens"] for reply in replies)
    assert cold == 0
    assert warm % 16 == 0
    assert 80 - 16 < warm < 110  # The system message has 80 tokens.
    assert stats["tokens_in"] - stats["uncached_tokens"] == warm


def test_at_most_so_many_are_worked_on_at_once() -> None:
    # So slow that all have come before the first is answered, even if this process is held up.
    with running_simulator(latency_ms=800, concurrency=4) as simulator:
        started = time.perf_counter()
        replies = post(simulator.url, *(body(number) for number in range(12)))
        took = time.perf_counter() - started
        stats = simulator.stats()
    assert [reply[0] for reply in replies] == [200] * 12
    assert 3 * 0.8 <= took < 12 * 0.8
    assert stats["max_in_flight"] == 12
    assert stats["depth"] == 1  # None of them had to wait for another to be sent.
    assert stats["wall_s"] >= 3 * 0.8


def test_time_per_token_of_the_answer() -> None:
    with running_simulator(per_token_ms=5) as simulator:
        started = time.perf_counter()
        [reply] = post(simulator.url, body())
        took = time.perf_counter() - started
    assert took >= reply[1]["usage"]["completion_tokens"] * 5e-3


def test_an_answer_longer_than_asked_for_is_cut() -> None:
    with running_simulator() as simulator:
        [reply] = post(simulator.url, body(max_tokens=3))
    assert reply[1]["choices"][0]["finish_reason"] == "length"
    assert reply[1]["usage"]["completion_tokens"] == 3


def test_faults_come_as_often_as_asked_for_and_are_the_same_again() -> None:
    shares = {"http_500": 0.2, "http_429": 0.2, "truncated": 0.2, "malformed": 0.1, "refuse": 0.1}
    seen: list[list[tuple[int, str]]] = []
    for _ in range(2):
        with running_simulator(**shares) as simulator:
            replies = post(simulator.url, *(body(number) for number in range(200)))
            errors = simulator.stats()["errors"]
        seen.append([(reply[0], json.dumps(reply[1].get("choices"))) for reply in replies])
        for fault, share in shares.items():
            assert abs(errors[fault] / 200 - share) < 0.1
    assert seen[0] == seen[1]
    limited = next(reply for reply in replies if reply[0] == 429)
    assert float(limited[2]["Retry-After"]) == 0.2
    refused = [r for r in replies if r[0] == 200 and content(r) is None]
    assert all(reply[1]["choices"][0]["message"]["refusal"] for reply in refused)


def test_a_retry_is_drawn_anew() -> None:
    with running_simulator(http_500=0.5) as simulator:
        statuses = {post(simulator.url, body())[0][0] for _ in range(20)}
    assert statuses == {200, 500}


def test_more_than_so_many_a_second_are_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=100.0, monotonic=lambda: clock.now)
    monkeypatch.setattr("benchmarks.llm.rate_limit.time", clock)
    with running_simulator(requests_per_second=5) as simulator:
        replies = post(simulator.url, *(body(number) for number in range(8)))
        away = [reply for reply in replies if reply[0] == 429]
        assert len(away) == 3
        assert 0 < float(away[0][2]["Retry-After"]) <= 1
        assert away[0][2]["x-ratelimit-limit-requests"] == "5"
        assert away[0][2]["x-ratelimit-remaining-requests"] == "0"
        clock.now += 1
        assert post(simulator.url, body())[0][0] == 200


def test_a_killed_clients_calls_are_abandoned() -> None:
    async def killed(simulator: RunningSimulator) -> None:
        url = f"{simulator.url}/chat/completions"
        async with aiohttp.ClientSession() as session:
            calls = [session.post(url, json=body(n)) for n in range(10)]
            waiting = [asyncio.ensure_future(call) for call in calls]
            while (await asyncio.to_thread(simulator.stats))["in_flight"] < 10:
                await asyncio.sleep(0.05)
            for call in waiting:
                call.cancel()

    with running_simulator(latency_ms=60_000, concurrency=4) as simulator:
        asyncio.run(killed(simulator))
        until = time.monotonic() + 60
        while simulator.stats()["in_flight"] and time.monotonic() < until:
            time.sleep(0.05)
        stats = simulator.stats()
    assert (stats["calls"], stats["abandoned"], stats["answered"]) == (10, 10, 0)


def test_what_hangs_is_never_answered_and_counts_as_abandoned() -> None:
    async def impatient(url: str) -> None:
        timeout = aiohttp.ClientTimeout(total=2)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            await session.post(url + "/chat/completions", json=body())

    with running_simulator(hang=1, concurrency=1) as simulator:
        with pytest.raises(TimeoutError):
            asyncio.run(impatient(simulator.url))
        assert post(simulator.url, body())[0][0] == 200
        stats = simulator.stats()
    assert (stats["abandoned"], stats["answered"], stats["in_flight"]) == (1, 1, 0)


def test_a_dropped_connection() -> None:
    with running_simulator(disconnect=1.0) as simulator:
        with pytest.raises(aiohttp.ClientError):
            post(simulator.url, body())
        assert simulator.stats()["errors"] == {"disconnect": 1}


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (body(stream=True), "stream"),
        (body(n=2), "n: 1"),
        ([], "messages"),
        (body(response_format={"type": "grammar"}), "json_schema"),
    ],
)
def test_what_is_not_simulated_is_refused(sent: Any, told: str) -> None:
    with running_simulator() as simulator:
        [reply] = post(simulator.url, sent)
    assert reply[0] == 400
    assert told in reply[1]["error"]["message"]


def test_text_an_object_like_the_example_and_a_forced_tool() -> None:
    example = 'Answer like {"facts": ["Name is John"], "event": "ADD", "count": 1}'
    system = [{"role": "system", "content": example}]
    asked = {"messages": system + body()["messages"][1:]}
    tool = {"function": {"name": "store", "parameters": SCHEMA}}
    with running_simulator() as simulator:
        text, guessed, called = post(
            simulator.url,
            asked,
            asked | {"response_format": {"type": "json_object"}},
            asked | {"tools": [tool], "tool_choice": "required"},
        )
    assert content(text).startswith("Ann moved to Rome in house 0.")
    answer = json.loads(content(guessed))
    assert answer["facts"][0] == "Ann moved to Rome in house 0."
    assert answer["event"] == "ADD"
    [call] = called[1]["choices"][0]["message"]["tool_calls"]
    jsonschema.validate(json.loads(call["function"]["arguments"]), SCHEMA)


def test_embeddings_and_models() -> None:
    with running_simulator() as simulator:
        sent = {"input": ["grey cats", "two grey cats"], "dimensions": 32}
        [reply] = post(simulator.url, sent, path="/embeddings")
    first, second = (one["embedding"] for one in reply[1]["data"])
    assert len(first) == 32
    assert sum(a * b for a, b in zip(first, second, strict=True)) > 0.5


@pytest.mark.slow
def test_the_command_prints_its_address_and_writes_its_counts(tmp_path: Any) -> None:
    path = tmp_path / "stats.json"
    command = [sys.executable, "-m", "benchmarks.llm.simulator", "--latency-ms", "1"]
    process = subprocess.Popen(
        [*command, "--http-500", "1", "--stats-file", str(path)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        assert url.startswith("http://127.0.0.1:")
        assert post(url, body())[0][0] == 500
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
    assert json.loads(path.read_text())["errors"] == {"http_500": 1}
