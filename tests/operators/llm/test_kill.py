"""A process that is killed pays for no answer twice, but for those in flight."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.servers.llm_simulator import RunningSimulator, running_simulator

CALLS = 300
IN_FLIGHT = 8

CHILD = """
import asyncio, os, sys
from pathlib import Path
from operators.llm.engines.openai_endpoint import OpenAiEngine
from operators.llm.gateway import Gateway
from operators.llm.journal import AnswerJournal
from operators.llm.spec import OpenAiLlm
from tests.operators.llm.calls import request

async def work(url, folder, calls, in_flight):
    llm = OpenAiLlm(model="m", url=url, max_in_flight=in_flight)
    gateway = Gateway(llm, OpenAiEngine(llm), AnswerJournal(folder, str(os.getpid())))
    answers = await gateway.generate([request(f"[1] Ada has {n} cats.") for n in range(calls)])
    print({answer.status for answer in answers})
    await gateway.close()

asyncio.run(work(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
"""


def started(simulator: RunningSimulator, folder: Path) -> subprocess.Popen[str]:
    arguments = [simulator.url, str(folder), str(CALLS), str(IN_FLIGHT)]
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", CHILD, *arguments]
    return subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True)


def wait_for_answers(simulator: RunningSimulator, number: int) -> None:
    deadline = time.monotonic() + 180
    while simulator.stats()["answered"] < number:
        assert time.monotonic() < deadline, "the child does not get on"
        time.sleep(0.02)


@pytest.mark.slow
def test_killed_three_times(tmp_path: Path):
    with running_simulator(latency_ms=30.0) as simulator:
        for kill in range(1, 4):
            child = started(simulator, tmp_path)
            wait_for_answers(simulator, kill * CALLS // 5)
            child.send_signal(signal.SIGKILL)
            child.wait(60)
        child = started(simulator, tmp_path)
        said, _ = child.communicate(timeout=180)
        stats = simulator.stats()
    assert said.strip() == "{'ok'}"
    assert stats["distinct_calls"] == CALLS
    assert stats["calls"] <= CALLS + 3 * IN_FLIGHT
    assert stats["repeated_calls"] <= 3 * IN_FLIGHT
