"""Memory by a language model on real Ray against a simulated endpoint: calls are counted there."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.llm_gateways import ANSWERS_DIR
from operators.llm.journal import AnswerJournal
from tests.jobs.builds import SAMPLES, digest_at, rows_at, sample_lines, shuffled, write_log
from tests.jobs.processes import RUN_SECONDS, Finished, Running, cli, running, wait_until
from tests.servers.llm_simulator import RunningSimulator, running_simulator
from transforms.warehouse.connection import JOURNAL_DIR, open_warehouse

pytestmark = pytest.mark.slow

LINES = sample_lines(per_log=40)
BUDGET = 20_000


@pytest.fixture(scope="module")
def endpoint() -> Iterator[RunningSimulator]:
    with running_simulator(latency_ms=20, concurrency=64) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_log(tmp_path_factory.mktemp("llm") / "log.jsonl", LINES)


@pytest.fixture(scope="module")
def whole(
    endpoint: RunningSimulator, log: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, int]:
    """The warehouse of an uninterrupted run, and the calls it made."""
    warehouse = tmp_path_factory.mktemp("llm") / "whole"
    _, calls = counted(endpoint, log, warehouse)
    assert calls > 60
    return warehouse, calls


def arguments(endpoint: RunningSimulator, log: Path, warehouse: Path) -> list[object]:
    llm = ["--llm-url", endpoint.url, "--llm-model", "simulated", "--workers", 1]
    return ["run", "conversation_memory_llm", "--input", log, "-w", warehouse, *llm]


@pytest.fixture(scope="module")
def stopped(
    endpoint: RunningSimulator, log: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, int]:
    """The warehouse of a run that a budget has ended, and the calls it made."""
    warehouse = tmp_path_factory.mktemp("llm") / "stopped"
    done, calls = counted(endpoint, log, warehouse, "--max-tokens", BUDGET)
    assert "stopped: " in done.stdout
    return warehouse, calls


@pytest.fixture
def resumable(stopped: tuple[Path, int], tmp_path: Path) -> Path:
    """A copy of it, with the answers that are paid and not committed."""
    assert _journal(stopped[0])
    return Path(shutil.copytree(stopped[0], tmp_path / "w"))


def counted(
    endpoint: RunningSimulator, log: Path, warehouse: Path, *more: object
) -> tuple[Finished, int]:
    """A run that succeeds, and the calls that it made."""
    endpoint.reset()
    done = run(endpoint, log, warehouse, *more)
    assert done.code == 0, done.stderr
    return done, endpoint.stats()["calls"]


def run(endpoint: RunningSimulator, log: Path, warehouse: Path, *more: object) -> Finished:
    return cli(*arguments(endpoint, log, warehouse), *more)


def test_a_second_run_makes_no_call(
    endpoint: RunningSimulator, log: Path, whole: tuple[Path, int], tmp_path: Path
) -> None:
    endpoint.reset()
    again = run(endpoint, log, whole[0])
    assert "nothing to do" in again.stdout
    # Nor where everything is read again: another file with the same messages.
    mixed = write_log(tmp_path / "mixed.jsonl", shuffled(LINES))
    before = digest_at(whole[0])
    assert run(endpoint, mixed, whole[0]).code == 0
    assert endpoint.stats()["calls"] == 0
    assert digest_at(whole[0]) == before


def test_every_call_is_recorded(whole: tuple[Path, int]) -> None:
    columns = ("step", "output", "tokens_in", "cost", "artifact_id")
    calls = {row for row in rows_at(whole[0], "artifacts", *columns) if row[1] is not None}
    assert len({row[4] for row in calls}) == whole[1]
    assert all(row[2] > 0 for row in calls)
    steps = {row[0] for row in calls}
    assert steps == {"extract", "episodes", "verdicts", "scenes", "personas", "tree"}


def test_a_run_that_is_killed_twice_repeats_only_calls_in_flight(
    log: Path, whole: tuple[Path, int], tmp_path: Path
) -> None:
    warehouse = tmp_path / "w"
    answered = 0
    # So slow that many answers are still to come at a kill, even if this process is held up.
    with running_simulator(latency_ms=300, concurrency=2) as slow:
        for wanted in (10, 40):
            with running(*arguments(slow, log, warehouse)) as killed:
                _wait_for_answers(killed, warehouse, wanted)
                killed.kill()
            assert len(_journal(warehouse)) >= max(answered, wanted)
            answered = len(_journal(warehouse))
        done = run(slow, log, warehouse)
        stats = slow.stats()
    assert done.code == 0, done.stderr
    assert digest_at(warehouse) == digest_at(whole[0])
    # What was in flight at a kill may have been answered into the void.
    assert stats["repeated_calls"] <= 2 * 64
    assert stats["answered"] <= whole[1] + 2 * 64
    assert stats["distinct_calls"] == whole[1]


def _wait_for_answers(killed: Running, warehouse: Path, wanted: int) -> None:
    wait_until(
        lambda: len(_journal(warehouse)) >= wanted or killed.ended,
        RUN_SECONDS,
        f"{wanted} answers in the journal",
    )
    assert not killed.ended, "".join(killed.lines)


def _journal(warehouse: Path) -> set[str]:
    folder = warehouse / JOURNAL_DIR / ANSWERS_DIR
    return {answer.call_id for answer in AnswerJournal(folder, "reader").load()}


def test_a_budget_stops_in_order_and_the_next_run_goes_on(
    endpoint: RunningSimulator,
    log: Path,
    whole: tuple[Path, int],
    stopped: tuple[Path, int],
    resumable: Path,
) -> None:
    first = stopped[1]
    assert 0 < first < whole[1]
    assert {status for (status,) in rows_at(resumable, "runs", "status")} == {"stopped"}
    endpoint.reset()
    on = run(endpoint, log, resumable)
    assert on.code == 0, on.stderr
    stats = endpoint.stats()
    assert (first + stats["calls"], stats["repeated_calls"]) == (whole[1], 0)
    assert digest_at(resumable) == digest_at(whole[0])


def test_faults_lose_no_message(log: Path, whole: tuple[Path, int], tmp_path: Path) -> None:
    """10% truncated answers, 10% HTTP 500, a call that hangs for ever: the run ends.

    The time-out is longer than the simulator in this process may be held up: calls that fail all
    at once are an endpoint that is down.
    """
    pipeline = tmp_path / "p.yaml"
    with running_simulator(truncated=0.1, http_500=0.1, hang=1, concurrency=64) as endpoint:
        _with_endpoint(pipeline, endpoint.url, "timeout: 12s")
        done = cli("run", pipeline, "--input", log, "-w", tmp_path / "w", "--workers", 1)
        errors = endpoint.stats()["errors"]
    assert done.code == 0, done.stderr
    assert errors["http_500"] and errors["truncated"] and errors["hang"]
    spoken = set(rows_at(tmp_path / "w", "messages", "conversation_id", "message_id"))
    assert len(spoken) == len(LINES)
    assert _silent(tmp_path / "w") <= _silent(whole[0])


def _silent(warehouse: Path) -> int:
    """Messages of some length without a fact and without a dead letter of their session."""
    with open_warehouse(warehouse, read_only=True) as opened:
        rows = opened.rows(
            "SELECT count(*) FROM messages m WHERE length(text) > 60 AND NOT EXISTS (FROM facts f "
            "WHERE f.conversation_id = m.conversation_id AND "
            "list_contains(f.source_message_ids, m.message_id)) AND NOT EXISTS (FROM dead_letters "
            "d WHERE contains(decode(d.raw), m.session_id))"
        )
    return int(rows[0][0])


def test_an_endpoint_that_is_gone_stops_the_run(log: Path, tmp_path: Path) -> None:
    pipeline = tmp_path / "p.yaml"
    _with_endpoint(pipeline, "http://127.0.0.1:9/v1", "attempts: 2")
    done = cli("run", pipeline, "--input", log, "-w", tmp_path / "w")
    assert done.code == 4
    assert "127.0.0.1:9" in done.stderr and "Traceback" not in done.stderr


def test_what_got_no_answer_is_asked_again_on_the_same_input(
    log: Path, whole: tuple[Path, int], tmp_path: Path
) -> None:
    pipeline, warehouse = tmp_path / "p.yaml", tmp_path / "w"
    with running_simulator(http_500=0.2, concurrency=64) as failing:
        _with_endpoint(pipeline, failing.url, "attempts: 1")
        assert cli("run", pipeline, "--input", log, "-w", warehouse, "--workers", 1).code == 0
    reasons = {reason for (reason,) in rows_at(warehouse, "dead_letters", "reason")}
    assert "no_answer" in reasons
    with running_simulator(concurrency=64) as well:
        _with_endpoint(pipeline, well.url, "attempts: 1")
        done = cli("run", pipeline, "--input", log, "-w", warehouse, "--workers", 1)
        assert done.code == 0, done.stderr
        assert 0 < well.stats()["calls"] < whole[1]
    assert digest_at(warehouse) == digest_at(whole[0])
    assert "nothing to do" in cli("run", pipeline, "--input", log, "-w", warehouse).stdout


def test_another_input_does_not_drop_what_a_stopped_run_paid(
    endpoint: RunningSimulator,
    log: Path,
    whole: tuple[Path, int],
    stopped: tuple[Path, int],
    resumable: Path,
    tmp_path: Path,
) -> None:
    others = [
        {**line, "conversation_id": "other", "text": f"Listen: {line['text']}"}
        for line in LINES[:4]
    ]
    other = write_log(tmp_path / "other.jsonl", others)
    assert run(endpoint, other, resumable).code == 0
    _, calls = counted(endpoint, log, resumable)
    assert stopped[1] + calls == whole[1], "no call is repeated"
    assert not (resumable / JOURNAL_DIR).exists()


def _with_endpoint(path: Path, url: str, *more: str) -> None:
    text = (SAMPLES.parent / "pipelines" / "conversation_memory_llm.yaml").read_text()
    head, _, rest = text.partition("x-llm: &llm\n")
    body = rest.partition("\ninput:")[2]
    llm = ["engine: openai", "model: simulated", f'url: "{url}"', *more]
    declared = "x-llm: &llm\n" + "".join(f"  {line}\n" for line in llm)
    path.write_text(f"{head}{declared}\ninput:{body}")


def test_forgotten_is_never_ingested(
    endpoint: RunningSimulator, whole: tuple[Path, int], tmp_path: Path
) -> None:
    victim = LINES[10]
    rest = [line for line in LINES if line is not victim]
    never = tmp_path / "never"
    assert run(endpoint, write_log(tmp_path / "rest.jsonl", rest), never).code == 0
    forgetful = Path(shutil.copytree(whole[0], tmp_path / "forgetful"))
    where = ["--message", victim["message_id"], "--conversation", victim["conversation_id"]]
    done = cli("forget", "-w", forgetful, *where)
    assert done.code == 0, done.stderr
    assert digest_at(forgetful) == digest_at(never)
