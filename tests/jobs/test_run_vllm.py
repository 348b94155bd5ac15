"""The pipeline with a real model: SmolLM2 on vLLM in Ray actors, killed, stopped and resumed.

The model is a bad extractor: that its answers have the right form, and what becomes of those
that cannot be used, is what is looked at here, never what they say.
"""

import json
from pathlib import Path

import pytest

from jobs.llm_gateways import ANSWERS_DIR
from operators.extract.llm_output import FoundFacts
from operators.llm.journal import AnswerJournal
from tests.jobs.builds import SAMPLES, digest_at, rows_at, write_log
from tests.jobs.processes import REPO, Running, cli, running, wait_until
from transforms.warehouse.connection import JOURNAL_DIR, open_warehouse

pytestmark = pytest.mark.slow

START_SECONDS = 420.0
RUN_SECONDS = 600.0
LINES = [
    json.loads(line)
    for line in (SAMPLES / "logs" / "team.jsonl").read_text("utf-8").splitlines()[:4]
]
ASKED = ("extract", "episodes", "verdicts", "scenes", "personas", "tree")


def test_stopped_killed_and_resumed_it_pays_for_no_call_twice(tmp_path: Path) -> None:
    """One warehouse: a budget ends the first run, SIGKILL hits engine and driver, the last ends."""
    log = write_log(tmp_path / "log.jsonl", LINES)
    warehouse = tmp_path / "w"
    pipeline = _in_single_precision(tmp_path / "p.yaml")
    arguments = ["run", pipeline, "--input", log, "-w", warehouse, "--workers", 1]

    stopped = cli(*arguments, "--max-tokens", 1, timeout=RUN_SECONDS)
    assert stopped.code == 0, stopped.stderr
    assert "stopped: " in stopped.stdout
    paid = _journal(warehouse)
    assert paid  # What was in flight when the budget was used up has been answered.
    assert not rows_at(warehouse, "facts", "fact_id")

    with running(*arguments) as resumed:
        resumed.wait_for_line("engine ready", START_SECONDS)
        core = resumed.wait_for_child("EngineCore", 60)
        wait_until(lambda: not core.is_running() or core.cpu_times().user > 0, 10, "a busy engine")
        core.kill()
        # Ray starts actor and engine again; the calls that were in flight are sent again.
        _wait_for_answers(resumed, warehouse, len(paid) + 1)
        resumed.kill()
    paid |= _journal(warehouse)

    done = cli(*arguments, "--json", timeout=RUN_SECONDS)
    assert done.code == 0, done.stderr
    spent = json.loads(done.stdout.splitlines()[-1])["spent"]
    calls = _calls(warehouse)
    # An answer in the journal was not asked for again, and every call is recorded.
    assert spent["calls"] == len(set(calls) - paid)
    assert spent["journaled"] >= len(paid & set(calls)) > 0
    assert set(calls.values()) <= set(ASKED)
    _assert_made(warehouse)

    before = digest_at(warehouse)
    again = cli(*arguments, timeout=RUN_SECONDS)
    assert "nothing to do" in again.stdout
    assert digest_at(warehouse) == before


def _in_single_precision(path: Path) -> Path:
    """The shipped pipeline; CPUs without bfloat16 arithmetic take half as long again for it."""
    shipped = (REPO / "pipelines" / "conversation_memory_llm.yaml").read_text("utf-8")
    assert shipped.count("dtype: bfloat16") == 1
    path.write_text(shipped.replace("dtype: bfloat16", "dtype: float32"), "utf-8")
    return path


def _assert_made(warehouse: Path) -> None:
    """Every message is remembered, by the model or by the rules, and it is said which."""
    sources = {m for (ids,) in rows_at(warehouse, "facts", "source_message_ids") for m in ids}
    letters = b"".join(raw for (raw,) in rows_at(warehouse, "dead_letters", "raw"))
    sessions = dict(rows_at(warehouse, "messages", "message_id", "session_id"))
    for line in LINES:
        if len(line["text"].split()) >= 8:
            id_ = line["message_id"]
            assert id_ in sources or sessions[id_].encode() in letters, line
    extracted = rows_at(warehouse, "artifacts", "step", "status", "output")
    valid = [o for step, status, o in extracted if step == "extract" and status == "ok"]
    assert any(_is_valid(output) for output in valid)
    assert {name for (name,) in rows_at(warehouse, "facts", "extractor")} <= {
        "llm_facts",
        "rule_facts",
    }


def _is_valid(output: str) -> bool:
    return FoundFacts.model_validate_json(output) is not None


def _calls(warehouse: Path) -> dict[str, str]:
    """Steps by the ids of the calls that the memory rests on."""
    with open_warehouse(warehouse, read_only=True) as opened:
        rows = opened.rows("SELECT artifact_id, step FROM artifacts WHERE output IS NOT NULL")
    return dict(rows)


def _journal(warehouse: Path) -> set[str]:
    folder = warehouse / JOURNAL_DIR / ANSWERS_DIR
    return {answer.call_id for answer in AnswerJournal(folder, "reader").load()}


def _wait_for_answers(run: Running, warehouse: Path, wanted: int) -> None:
    wait_until(
        lambda: len(_journal(warehouse)) >= wanted or run.ended,
        START_SECONDS,
        f"{wanted} answers in the journal",
        pause=0.1,
    )
    assert not run.ended, "".join(run.lines)
