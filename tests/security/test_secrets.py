"""A secret that is given stays where it was given: in no output, plan, error or table."""

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from jobs.commands.load_plan import load_plan
from jobs.errors import UsageError
from jobs.local_models import LocalModels
from jobs.observe.datasets import source_input
from jobs.observe.logs import JsonLines
from jobs.observe.watch import watched
from jobs.report.write import write_report
from jobs.run_record import DONE, RunRecord
from operators.llm.engines.api_key import ApiKey
from operators.llm.engines.openai_endpoint import OpenAiEngine
from operators.llm.spec import OpenAiLlm
from operators.parse.jsonl import parse_jsonl
from pipelines.errors import PipelineError
from pipelines.slice_build import build_slice
from tests.jobs.processes import REPO
from tests.servers.llm_simulator import running_simulator
from transforms.sources.errors import InputError
from transforms.sources.live.kafka_settings import KafkaSettings
from transforms.sources.live.open_source import open_live_source
from transforms.sources.live.redis_address import RedisAddress
from transforms.warehouse.commit import ChangeSet, commit, upsert
from transforms.warehouse.connection import open_warehouse

SECRET = "hunter2s3cretZq"
REDIS = f"redis://bot:{SECRET}@127.0.0.1:1/0?stream=chat"
KAFKA = f"kafka://127.0.0.1:1/chat?sasl.password={SECRET}&sasl.username=bot"
ENDPOINT = "http://127.0.0.1:1/v1"
LOG = [
    json.dumps(
        {
            **{"conversation_id": "c1", "message_id": f"m{number}", "speaker": speaker},
            **{"timestamp": f"2024-03-01T10:0{number}:00Z", "text": text},
        }
    ).encode()
    for number, (speaker, text) in enumerate(
        [
            *(("Ana", "I work at the harbour now."), ("Ben", "I live in Oslo with my dog Rufus.")),
            *(("Ana", "My sister moved to Lima in May."), ("Ben", "I play chess every Friday.")),
        ]
    )
]


def found_in(folder: Path) -> list[str]:
    """Files that hold the secret, as bytes or as values of Parquet."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    found = [str(file) for file in files if SECRET.encode() in file.read_bytes()]
    tables = [file for file in files if file.suffix == ".parquet"]
    return found + [str(f) for f in tables if SECRET in str(pq.read_table(f).to_pylist())]


@pytest.mark.slow
def test_a_run_leaves_no_secret_in_the_warehouse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows that a job writes about itself, with secrets wherever one can be given."""
    for name in ("LLM_KEY", "PGPASSWORD", "AWS_SECRET_ACCESS_KEY", "RAY_AUTH_TOKEN", "REDIS_PW"):
        monkeypatch.setenv(name, SECRET)
    plan = load_plan("conversation_memory_llm", ENDPOINT, "m", "LLM_KEY")
    sources = [RedisAddress.from_uri(REDIS), KafkaSettings.from_uri(KAFKA)]
    sources.append(RedisAddress.from_uri("redis://:$REDIS_PW@127.0.0.1/0?stream=chat"))
    assert [str(source.password) for source in sources if isinstance(source, RedisAddress)] == [
        SECRET,
        SECRET,
    ]
    record = RunRecord("stream", plan, ", ".join(source.name for source in sources))
    with open_warehouse(tmp_path / "w") as warehouse:
        commit(warehouse, [ChangeSet("runs", inserts=record.row(DONE, {"sources": 3}))])
        rows = warehouse.query("FROM runs").to_pylist()
    assert "127.0.0.1:1" in str(rows)  # The addresses are there, without their secrets.
    assert SECRET not in str(rows)
    assert SECRET not in repr(sources)
    assert SECRET not in repr(plan)
    assert found_in(tmp_path) == []


@pytest.mark.slow
def test_a_whole_build_leaves_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Read, built by a model that asks for a key, committed, told and reported; without Ray."""
    monkeypatch.setenv("LLM_KEY", SECRET)
    monkeypatch.setattr(sys, "stderr", JsonLines(sys.stderr))
    folder, events = tmp_path / "w", tmp_path / "events.jsonl"
    read = parse_jsonl(enumerate(LOG, 1), "log.jsonl")
    with (
        running_simulator(http_500=0.05, seed=1) as endpoint,
        contextlib.closing(LocalModels()) as models,
        watched("run", "demo", folder, events=events) as watch,
        open_warehouse(folder) as warehouse,
        watch.writing(warehouse),
    ):
        plan = load_plan("conversation_memory_llm", endpoint.url, "m", "LLM_KEY")
        watch.started([source_input(KAFKA), source_input(REDIS)])
        built = build_slice(read.messages, (), None, plan.steps, models)
        run = RunRecord("run", plan, "log.jsonl").row(DONE, {"counters": built.counters})
        commit(warehouse, built.changes, [upsert("runs", run)])
        assert endpoint.stats()["answered"] > 3
        assert warehouse.rows("SELECT count(*) FROM artifacts")[0][0] > 3
        watch.ended({"endpoint": endpoint.url})
    write_report(folder, tmp_path / "report.html")
    captured = capsys.readouterr()
    assert "run.report" in captured.err
    assert "kafka://127.0.0.1:1" in events.read_text("utf-8")
    assert SECRET not in captured.out + captured.err
    assert found_in(tmp_path) == []


@pytest.mark.parametrize(
    "url",
    [
        f"http://bot:{SECRET}@host/v1",
        f"http://host/v1?api-key={SECRET}",
        f"http://host/v1?api-version=1&code=x&subscription_key={SECRET}",
        f"http://host/v1?X-Amz-Signature={SECRET}",
        f"http://[host/v1?sig={SECRET}",
    ],
)
def test_an_address_with_a_key_is_refused(url: str) -> None:
    with pytest.raises((UsageError, PipelineError)) as refused:
        load_plan("conversation_memory_llm", url, "m")
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("key", [f"sk-{SECRET}", f"gsk_{SECRET}", f"{SECRET}==", "K" * 200])
def test_a_key_in_place_of_its_variable_is_not_repeated(tmp_path: Path, key: str) -> None:
    with pytest.raises(UsageError, match="not the key") as refused:
        load_plan("conversation_memory_llm", ENDPOINT, "m", key)
    assert key not in str(refused.value)
    shipped = (REPO / "pipelines" / "conversation_memory_llm.yaml").read_text()
    block = f"engine: openai\n  model: m\n  url: {ENDPOINT}\n  api_key_env: {key}\n"
    head, _, rest = shipped.partition("x-llm:")
    anchor = rest.partition("\n")[0]
    tail = rest.partition("\nsteps:")[2]
    file = tmp_path / "p.yaml"
    file.write_text(f"{head}x-llm:{anchor}\n  {block}\nsteps:{tail}")
    with pytest.raises(PipelineError) as invalid:
        load_plan(str(file))
    assert "is no name of an environment variable" in str(invalid.value)
    assert key not in json.dumps([problem.to_json() for problem in invalid.value.problems])


def test_the_key_is_in_no_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_KEY", SECRET)
    llm = OpenAiLlm(url=ENDPOINT, model="m", api_key_env="LLM_KEY")
    key = ApiKey("LLM_KEY")
    assert SECRET in key.headers()["Authorization"]
    for shown in (llm, key, vars(key), OpenAiEngine(llm), llm.identity, llm.key):
        assert SECRET not in repr(shown)
    assert SECRET.encode() not in key.redact(f"who is {SECRET}?".encode())


@pytest.mark.parametrize(
    "uri",
    [
        *(f"redis:/bot:{SECRET}@h/0?stream=a", f" redis://bot:{SECRET}@h/0?stream=a"),
        *(f"redis://h/0?stream=a&password={SECRET}", f"redis://bot:{SECRET}@h/x?stream=a"),
        *(f"kafka:h/t?sasl.password={SECRET}", f"kafka://bot:{SECRET}@h/t"),
        *(f"file://bot:{SECRET}@h/x", f"postgres://bot:{SECRET}@h/x", f"redis://[{SECRET}@h"),
    ],
)
def test_a_slip_in_an_address_shows_no_password(uri: str) -> None:
    with pytest.raises(InputError) as refused:
        open_live_source(uri)
    assert SECRET not in str(refused.value)


@pytest.mark.slow
@pytest.mark.parametrize("source", [REDIS, KAFKA])
def test_a_stream_that_cannot_start_says_so_without_secrets(tmp_path: Path, source: str) -> None:
    """A whole process: its output, and all that it left in the warehouse."""
    command = [sys.executable, "-m", "jobs.cli", "stream", "conversation_memory", "--source"]
    options = ["--warehouse", str(tmp_path / "w"), "--until-idle", "2", "--json", "--verbose"]
    done = subprocess.run(
        [*command, source, *options], cwd=REPO, capture_output=True, timeout=120, check=False
    )
    assert SECRET.encode() not in done.stdout + done.stderr
    assert b"127.0.0.1:1" in done.stdout + done.stderr
    assert found_in(tmp_path) == []
