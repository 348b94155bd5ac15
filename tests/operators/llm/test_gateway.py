"""Each call is made once, whoever asks, whoever is cancelled, and whatever stops the run."""

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest

from operators.llm.budget import Budget
from operators.llm.call import Answer
from operators.llm.errors import BudgetReachedError, ModelUnavailableError
from operators.llm.gateway import Gateway
from operators.llm.journal import AnswerJournal
from tests.operators.llm.calls import LLM, FakeEngine, request


def run(work: Awaitable[Any]) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(120):
            return await work

    return asyncio.run(bounded())


async def soon(condition) -> None:
    while not condition():
        await asyncio.sleep(0)


def test_answers_come_in_the_order_of_the_requests():
    async def work():
        engine = FakeEngine()
        gateway = Gateway(LLM, engine)
        requests = [request(f"{n % 7}") for n in range(20)]
        answers = await gateway.generate(requests)
        assert [a.text for a in answers] == [f"re: {n % 7}" for n in range(20)]
        assert [a.call_id for a in answers] == [r.call_id(LLM) for r in requests]
        assert sorted(engine.asked) == [str(n) for n in range(7)]
        assert await gateway.generate([]) == []
        spent = gateway.spent()
        assert (spent["calls"], spent["shared"], spent["failed"]) == (7, 13, 0)
        assert (spent["tokens_in"], spent["tokens_out"], spent["cached_tokens"]) == (70, 35, 28)
        assert spent["cost"] == pytest.approx((70 * 1.0 + 35 * 2.0) / 1e6)

    run(work())


def test_no_more_than_allowed_are_in_flight():
    async def work():
        engine = FakeEngine()
        gateway = Gateway(LLM, engine)
        await asyncio.gather(
            *(gateway.generate([request(f"{c}-{n}") for n in range(10)]) for c in range(3))
        )
        assert engine.most_in_flight == LLM.max_in_flight
        assert len(engine.asked) == 30

    run(work())


def test_calls_in_flight_and_answers_are_shared_between_callers():
    async def work():
        engine = FakeEngine(held=True)
        gateway = Gateway(LLM, engine)
        first = asyncio.create_task(gateway.generate([request("a"), request("b")]))
        second = asyncio.create_task(gateway.generate([request("a", conversation="other")]))
        await soon(lambda: len(engine.asked) == 2)
        engine.gate.set()
        (answer,) = await second
        assert answer == (await first)[0]
        await gateway.generate([request("b")])
        assert len(engine.asked) == 2
        assert gateway.spent()["shared"] == 2

    run(work())


def test_what_was_sent_for_a_cancelled_caller_is_not_lost(tmp_path: Path):
    async def work():
        engine = FakeEngine(held=True)
        gateway = Gateway(LLM, engine, AnswerJournal(tmp_path, "one"))
        requests = [request(f"{n}") for n in range(9)]
        caller = asyncio.create_task(gateway.generate(requests))
        await soon(lambda: len(engine.asked) == 4)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        engine.gate.set()
        await soon(lambda: len(engine.answered) == 4)
        await gateway.generate([request("last")])
        assert len(engine.asked) == 5, "what was not sent is not sent later"
        assert len(list(AnswerJournal(tmp_path, "two").load())) == 5
        await gateway.generate(requests)
        assert len(engine.asked) == 10

    run(work())


def test_a_cancelled_caller_does_not_cancel_what_another_waits_for():
    async def work():
        engine = FakeEngine(held=True)
        gateway = Gateway(LLM, engine)
        requests = [request(f"{n}") for n in range(9)]
        first = asyncio.create_task(gateway.generate(requests))
        await soon(lambda: len(engine.asked) == 4)
        second = asyncio.create_task(gateway.generate(requests[::-1]))
        await asyncio.sleep(0)
        first.cancel()
        engine.gate.set()
        assert [a.text for a in await second] == [f"re: {n}" for n in range(8, -1, -1)]
        assert len(engine.asked) == 9

    run(work())


def test_a_budget_stops_the_run_and_what_was_in_flight_is_kept(tmp_path: Path):
    requests = [request(f"{n:02}") for n in range(20)]

    async def first():
        engine = FakeEngine()
        gateway = Gateway(LLM, engine, AnswerJournal(tmp_path, "one"), Budget(max_tokens=90))
        with pytest.raises(BudgetReachedError, match="--max-tokens 90"):
            await gateway.generate(requests)
        assert 6 <= len(engine.asked) <= 6 + LLM.max_in_flight
        assert len(engine.answered) == len(engine.asked)
        with pytest.raises(BudgetReachedError):
            await gateway.generate(requests)
        answered = [request(text) for text in engine.answered]
        assert len(await gateway.generate(answered)) == len(answered), "look-ups cost nothing"
        return engine.asked

    async def second(asked):
        engine = FakeEngine()
        gateway = Gateway(LLM, engine, AnswerJournal(tmp_path, "two"))
        await gateway.generate(requests)
        assert not set(engine.asked) & set(asked)
        assert gateway.spent()["journaled"] == len(asked)
        assert gateway.spent()["calls"] == 20 - len(asked)

    run(second(run(first())))


def test_a_journal_is_written_before_an_answer_is_used(tmp_path: Path):
    async def work():
        gateway = Gateway(LLM, FakeEngine(), AnswerJournal(tmp_path, "one"))
        answers = await gateway.generate([request("a"), request("b")])
        kept = {a.call_id: a for a in AnswerJournal(tmp_path, "two").load()}
        assert kept == {a.call_id: a for a in answers}

    run(work())


def test_without_a_disk_answers_are_used_all_the_same(tmp_path: Path, caplog):
    (tmp_path / "file").write_text("in the way")

    class Broken(AnswerJournal):
        def load(self):
            return iter(())

    async def work():
        gateway = Gateway(LLM, FakeEngine(), Broken(tmp_path / "file", "one"))
        assert len(await gateway.generate([request("a"), request("b")])) == 2

    run(work())
    assert caplog.text.count("not journaled any more") == 1


def test_an_engine_that_is_down_stops_the_run_after_those_in_flight(tmp_path: Path):
    async def work():
        engine = FakeEngine(held=True)
        gateway = Gateway(LLM, engine, AnswerJournal(tmp_path, "one"))
        flying = asyncio.create_task(gateway.generate([request("x"), request("y")]))
        await soon(lambda: len(engine.asked) == 2)
        requests = [request(text) for text in ("down", "a", "b", "c", "d", "e", "f")]
        caller = asyncio.create_task(gateway.generate(requests))
        await asyncio.sleep(0.01)
        assert not caller.done(), "those in flight are waited for"
        engine.gate.set()
        with pytest.raises(ModelUnavailableError, match="nobody there"):
            await caller
        assert len(await flying) == 2, "what was answered all the same is used"
        assert len(engine.asked) == 4
        assert len(list(AnswerJournal(tmp_path, "two").load())) == 3
        assert len(await gateway.generate([request("later")])) == 1, "it may be up again"

    run(work())


def test_a_call_that_fails_is_unanswered_and_asked_again_next_time(tmp_path: Path):
    async def work():
        engine = FakeEngine()
        gateway = Gateway(LLM, engine, AnswerJournal(tmp_path, "one"))
        answers = await gateway.generate([request("a"), request("fail")])
        assert [a.status for a in answers] == ["ok", "unanswered"]
        assert answers[1].text == "6 attempts failed"
        await gateway.generate([request("fail")])
        assert engine.asked.count("fail") == 2
        assert gateway.spent()["failed"] == 2
        assert len(list(AnswerJournal(tmp_path, "two").load())) == 1

    run(work())


def test_a_bug_of_the_engine_is_seen():
    async def work():
        engine = FakeEngine()
        with pytest.raises(ZeroDivisionError):
            await Gateway(LLM, engine).generate([request("a"), request("bug"), request("c")])
        assert len(engine.answered) == 2

    run(work())


def test_it_forgets_what_was_used_longest_ago():
    async def work():
        engine = FakeEngine()
        gateway = Gateway(LLM, engine, remembered=2)
        answers = await gateway.generate([request(text) for text in "abcd"])
        assert [a.text for a in answers] == [f"re: {text}" for text in "abcd"]
        await gateway.generate([request(text) for text in "abcd"])
        assert 4 < len(engine.asked) <= 8

    run(work())


def test_recorded_answers_are_taken_in():
    async def work():
        engine = FakeEngine()
        gateway = Gateway(LLM, engine)
        gateway.remember([Answer(request("a").call_id(LLM), "ok", "recorded")])
        answers = await gateway.generate([request("a"), request("b")])
        assert [a.text for a in answers] == ["recorded", "re: b"]
        assert (gateway.spent()["journaled"], gateway.spent()["calls"]) == (1, 1)

    run(work())


def test_closing_waits_for_what_is_in_flight():
    async def work():
        engine = FakeEngine(held=True)
        gateway = Gateway(LLM, engine)
        caller = asyncio.create_task(gateway.generate([request(f"{n}") for n in range(6)]))
        await soon(lambda: len(engine.asked) == 4)
        closing = asyncio.create_task(gateway.close())
        await asyncio.sleep(0)
        assert not engine.closed
        engine.gate.set()
        await closing
        assert engine.closed == 1
        with pytest.raises(ModelUnavailableError, match="closed"):
            await caller

    run(work())
