"""`memoryflow replay` as typed: with stand-ins, and with the packaged model itself."""

import json
from pathlib import Path
from typing import Any

import pytest

from jobs.commands.replay import register
from jobs.errors import EngineError, UsageError
from jobs.known_errors import exit_code_of
from operators.replay.spec import ReplaySpec
from pipelines.plan import plan
from tests.jobs.builds import SAMPLES, rows_at
from tests.jobs.commands_here import printed
from tests.jobs.processes import cli
from tests.jobs.replay.asking import RepeatingEngine, add_messages, engine, talks_warehouse
from tests.jobs.search_samples import write_lines
from transforms.warehouse.connection import open_warehouse

pytestmark = pytest.mark.slow  # Each builds a warehouse.

__all__ = ["engine"]

SECONDS = 600.0
SPEC_YAML = """
version: 1
name: small
steps: [{id: sessions, operator: gap_sessions}]
replay: {scorer: streaming, max_answer_tokens: 3, ratio: 2, min_tokens: 8}
"""


def run(*arguments: object) -> str:
    return printed(register, "replay", *arguments)


def run_alone(*arguments: object) -> str:
    """In a process of its own."""
    done = cli("replay", *arguments, timeout=SECONDS)
    assert done.code == 0, done.stderr
    return done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return talks_warehouse(tmp_path / "warehouse")


def test_an_answer_names_its_episode_and_messages(folder: Path, engine: RepeatingEngine) -> None:
    shown = run("How many jars of honey?", "-w", folder, "--conversation", "hobbies").splitlines()
    assert shown[0] == "Answer:"
    assert "chosen by evidence: 8 messages: hobbies/1, " in shown[1]
    assert "16 tokens kept as 4 (fake@1); first token after 2 ms (transformers)" in shown[2]
    # Only this conversation's caches were made.
    assert {name for (name,) in rows_at(folder, "kv_episodes", "conversation_id")} == {"hobbies"}


def test_a_batch(folder: Path, engine: RepeatingEngine, tmp_path: Path) -> None:
    lines = [
        {"question_id": "a", "question": "Honey?", "conversation_id": "hobbies"},
        {"question_id": "b", "question": "Which day?", "conversation_id": "dull"},
        {"question_id": "c", "question": "Bees?"},
    ]
    questions = write_lines(tmp_path / "q.jsonl", *lines)
    with pytest.raises(UsageError, match=r"q.jsonl:3: 'conversation_id' is missing"):
        run("--batch", questions, "-w", folder)
    shown = run("--batch", questions, "-w", folder, "--conversation", "other")
    rows = [json.loads(line) for line in shown.splitlines()]
    assert [row["question_id"] for row in rows] == ["a", "b", "c"]
    assert [row["conversation_id"] for row in rows] == ["hobbies", "dull", "other"]
    assert len(engine.calls) == 1
    assert run("--batch", write_lines(tmp_path / "none.jsonl"), "-w", folder) == ""


def test_caches_beforehand(folder: Path, engine: RepeatingEngine) -> None:
    rows = [json.loads(line) for line in run("--build-only", "-w", folder, "--json").splitlines()]
    assert {row["conversation_id"] for row in rows} == {"hobbies", "dull", "other"}
    assert all(row["made"] == row["episodes"] > 0 for row in rows)
    again = run("--build-only", "-w", folder, "--conversation", "hobbies")
    assert again.startswith("hobbies: 1 episodes, 0 made; 16 tokens kept as 4")
    assert ", 1 made" in run("--rebuild", "-w", folder, "--conversation", "hobbies")
    assert not engine.calls


def test_options_and_sections_decide_the_compression(
    folder: Path, engine: RepeatingEngine, tmp_path: Path
) -> None:
    (tmp_path / "small.yaml").write_text(SPEC_YAML)
    given = ["--build-only", "-w", folder, "--conversation", "hobbies"]
    run(*given)
    run(*given, "--pipeline", tmp_path / "small.yaml")
    run(*given, "--pipeline", tmp_path / "small.yaml", "--ratio", 8, "--precision", "int8")
    made = [json.loads(c) for (c,) in rows_at(folder, "kv_episodes", "compression")]
    kept = {(c["scorer"], c["ratio"], c["precision"]) for c in made}
    small = {("streaming", 2.0, "float32"), ("streaming", 8.0, "int8")}
    assert kept == {("patch_prompt", 4.0, "float32"), *small}


def test_the_shipped_section_shows_the_defaults() -> None:
    assert plan("conversation_memory").replay == ReplaySpec()
    assert plan("conversation_memory_llm").replay == ReplaySpec()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "give a question"),
        (["Why?"], "Give --conversation ID"),
        (["Why?", "--conversation", "nobody"], "no conversation 'nobody' here"),
        (["Why?", "--conversation", "dull", "--batch", "q"], "not both"),
        (["Why?", "--conversation", "dull", "--build-only"], "asks nothing"),
        (["Why?", "--conversation", "dull", "--as-of", "2024-01-01T00:00:00Z"], "to the last"),
        (["Why?", "--conversation", "dull", "--asked-at", "now"], "--asked-at 'now' is not a time"),
        (["Why?", "--conversation", "dull", "--scorer", "luck"], "--scorer luck: .*'keydiff'"),
        (["Why?", "--conversation", "dull", "--ratio", "0.5"], "--ratio 0.5: .*greater"),
        (["Why?", "--conversation", "dull", "--engine", "cloud"], "--engine cloud: .*'vllm'"),
    ],
)
def test_wrong_use(folder: Path, arguments: list[str], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        run(*arguments, "-w", folder)
    assert rows_at(folder, "kv_episodes", "path") == []


def test_it_says_what_is_not_installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.replay.engines.find_spec", lambda _: None)
    with pytest.raises(EngineError, match=r"needs torch.*memoryflow\[replay\]"):
        run("Why?", "--conversation", "dull", "-w", folder)


def test_the_packaged_model_answers_from_its_caches(tmp_path: Path) -> None:
    """Built with the first question, found by the second; new messages make caches stale."""
    folder = talks_warehouse(tmp_path / "w", {"team": sample_texts("team", 24)})
    asked = ["Who is new in the team?", "--conversation", "team", "-w", folder, "--json"]
    asked += ["--engine", "transformers"]
    first = cli("replay", *asked, timeout=SECONDS)
    assert first.code == 0, first.stderr
    assert "conversation team: episode 1 of" in first.stderr
    row = json.loads(first.stdout)
    assert row["answer"]
    assert row["routed_by"] == "evidence"
    assert 0 < row["kept_tokens"] < row["source_tokens"]
    assert row["source_message_ids"][0] == row["evidence"][0]
    caches = rows_at(folder, "kv_episodes", "kv_episode_id", "checksum")
    with open_warehouse(folder):  # A writer holds the lock: nothing is written now.
        again = json.loads(run(*asked))
    assert again | {"first_token_ms": 0} == row | {"first_token_ms": 0}
    assert rows_at(folder, "kv_episodes", "kv_episode_id", "checksum") == caches

    file = folder / rows_at(folder, "kv_episodes", "path")[0][0]
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(EngineError) as damaged:
        run(*asked)
    assert exit_code_of(damaged.value) == 4
    assert "the file is damaged" in str(damaged.value)
    assert "memoryflow replay --rebuild" in str(damaged.value)
    assert json.loads(run(*asked, "--rebuild"))["answer"] == row["answer"]

    with open_warehouse(folder) as opened:
        add_messages(opened, "team", ["Ulla is new in the team."], first=24)
    found = json.loads(run(*asked))
    assert found["kv_episode_id"] != row["kv_episode_id"]
    assert "team/24" in found["source_message_ids"]


def test_vllm_and_actors_answer_as_transformers_do(tmp_path: Path) -> None:
    """One batch over two conversations: in this process, in vLLM, in two Ray actors."""
    talks = {"team": sample_texts("team", 16), "friends": sample_texts("friends", 16)}
    folder = talks_warehouse(tmp_path / "w", talks)
    asked = ["Who is new?", "What is planned?", "Who writes?"]
    lines: list[dict[str, Any]] = [
        {"question_id": f"{name}-{n}", "conversation_id": name, "question": question}
        for n, question in enumerate(asked)
        for name in talks
    ]
    batch = ["--batch", write_lines(tmp_path / "q.jsonl", *lines), "-w", folder]
    ways = (
        (run, ["--engine", "transformers"]),
        (run_alone, ["--engine", "vllm"]),
        (run_alone, ["--engine", "transformers", "--actors", "2"]),
    )
    found: list[list[tuple[str, str, str]]] = []
    for told, options in ways:
        rows = [json.loads(line) for line in told(*batch, *options).splitlines()]
        assert {row["engine"] for row in rows} == {options[1]}
        found.append([(r["question_id"], r["kv_episode_id"], r["answer"]) for r in rows])
    assert found[0] == found[1] == found[2]
    assert [name for name, _, _ in found[0]] == [line["question_id"] for line in lines]
    assert all(answer for _, _, answer in found[0])


def sample_texts(log: str, count: int) -> list[str]:
    """Texts of the first messages of a bundled log."""
    lines = (SAMPLES / "logs" / f"{log}.jsonl").read_text("utf-8").splitlines()[:count]
    return [json.loads(line)["text"] for line in lines]
