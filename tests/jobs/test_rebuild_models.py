"""The models of an erasure: it goes on without the language model, and pays for nothing twice."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.rebuild_models import RebuildModels
from operators.llm.call import Answer, Request
from operators.llm.spec import OpenAiLlm
from tests.servers.llm_simulator import RunningSimulator, running_simulator

SCHEMA = '{"properties":{"text":{"type":"string"}},"required":["text"],"type":"object"}'


@pytest.fixture(scope="module")
def endpoint() -> Iterator[RunningSimulator]:
    with running_simulator() as simulator:
        yield simulator


def request(text: str) -> Request:
    turns = (("system", "Say something."), ("user", f"[1] {text}"))
    return Request("t", "c", "", "p@1:0", turns, SCHEMA, 64)


def models(journal: Path, *answers: Answer) -> RebuildModels:
    return RebuildModels([], answers, journal)  # Nothing is embedded here.


def test_a_second_try_pays_for_nothing_again(endpoint: RunningSimulator, tmp_path: Path) -> None:
    llm = OpenAiLlm(model="simulated", url=endpoint.url)
    endpoint.reset()
    recorded = Answer(request("known").call_id(llm), "ok", "{}")
    asked = [request("known"), request("new")]
    first = models(tmp_path, recorded)
    answers = first.generate(llm, asked)
    first.close()
    assert answers[0] == recorded
    second = models(tmp_path, recorded)  # As after a kill before the commit.
    assert second.generate(llm, asked) == answers
    second.close()
    assert endpoint.stats()["calls"] == 1


def test_without_the_model_the_rules_stand_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    llm = OpenAiLlm(model="simulated", url="http://127.0.0.1:9/v1", attempts=1)
    recorded = Answer(request("known").call_id(llm), "ok", "{}")
    without = models(tmp_path, recorded)
    for _ in range(2):  # It is not tried again and again.
        known, missing = without.generate(llm, [request("known"), request("new")])
        assert known == recorded
        assert missing.status == "unanswered"
    without.close()
    said = capsys.readouterr().err
    assert "2 calls got no answer" in said and "127.0.0.1:9" in said
    assert "memoryflow consolidate" in said
