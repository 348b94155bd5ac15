"""What people write (YAML, addresses, durations, SQL) and what programs kept (positions, files)."""

import json
import zlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from jobs.sql import SqlSession
from jobs.sql_guard import SqlError
from operators.durations import Duration
from operators.llm.call import Answer
from operators.llm.journal import AnswerJournal
from operators.replay.kv_header import KvStoreError, read_header
from pipelines.errors import PipelineError
from pipelines.load import SHIPPED, loads
from tests.fuzz.effort import at_length, briefly
from tests.fuzz.values import TEXT, json_values
from tests.transforms.warehouse.rows import messages
from transforms.sources.errors import InputError
from transforms.sources.live.file_identity import Position
from transforms.sources.live.kafka_settings import KafkaSettings
from transforms.sources.live.open_source import open_live_source
from transforms.sources.live.redis_address import RedisAddress
from transforms.sources.live.redis_entries import EntryId
from transforms.warehouse.commit import ChangeSet, commit
from transforms.warehouse.connection import open_warehouse
from transforms.warehouse.errors import WarehouseError
from transforms.warehouse.location import load_location

TEMPLATE = (SHIPPED / "conversation_memory.yaml").read_text()
YAML_KEYS = ["version", "name", "steps", "id", "operator", "streaming", "gap", "llm", "url", "<<"]
SNIPPETS = ["&a ", "*a", "<<: ", "!!python/name:os.system ", "- ", "? ", "{", "]", "%TAG ", "\t"]
YAML_TEXT = st.one_of(
    json_values(YAML_KEYS).map(json.dumps),
    json_values(YAML_KEYS).map(lambda value: yaml.safe_dump(_plain(value))),
    st.lists(st.one_of(st.sampled_from(SNIPPETS), st.text(max_size=5))).map("".join),
    st.builds(
        lambda at, text: TEMPLATE[:at] + text + TEMPLATE[at:],
        st.integers(0, len(TEMPLATE)),
        st.one_of(TEXT, st.sampled_from(SNIPPETS)),
    ),
)


def _plain(value: Any) -> Any:
    """What PyYAML writes: no surrogates."""
    return json.loads(json.dumps(value).encode().decode("ascii").replace("\\ud", "x"))


def check_yaml(text: str) -> None:
    try:
        loaded = loads(text, "p.yaml")
    except PipelineError as error:
        assert error.problems
        json.dumps([problem.to_json() for problem in error.problems]).encode()
        str(error).encode()
    else:
        assert loaded.spec.steps


@briefly(3)
@given(YAML_TEXT)
def test_pipelines(text: str) -> None:
    check_yaml(text)


@at_length
@given(YAML_TEXT)
def test_pipelines_at_length(text: str) -> None:
    check_yaml(text)


@briefly(20)
@given(st.one_of(TEXT, st.from_regex(r"[0-9.]{1,320}[smhdw]", fullmatch=True)))
def test_durations(text: str) -> None:
    try:
        found = TypeAdapter(Duration).validate_python(text)
    except ValidationError:
        return
    assert timedelta(0) < found <= timedelta(days=36_525)


PARTS = st.one_of(TEXT, st.sampled_from(["@", "?", "/", "[", "]", ":", "stream=a", "%", "$", "&"]))
ADDRESSES = st.builds(
    lambda scheme, rest: scheme + "".join(rest),
    st.sampled_from(["redis://", "rediss://", "kafka://", "file://", "redis:", "kafka:/", "x://"]),
    st.lists(PARTS, max_size=6),
)


@briefly(20)
@given(ADDRESSES)
def test_addresses(uri: str) -> None:
    for read in (RedisAddress.from_uri, KafkaSettings.from_uri):
        try:
            name = read(uri, {}).name
        except InputError as error:
            assert str(error)
        else:
            assert read(uri, {}).name == name


@briefly(20)
@given(ADDRESSES.filter(lambda uri: not uri.startswith(("redis://", "rediss://", "kafka://"))))
def test_sources(uri: str) -> None:
    try:
        open_live_source(uri).close()
    except InputError as error:
        assert str(error)


PLACES = json_values(["catalog", "data", "s3", "endpoint", "url_style", "secret_env", "password"])


@briefly(20)
@given(st.one_of(PLACES.map(json.dumps), st.sampled_from(SNIPPETS), st.text(max_size=30)))
def test_locations_of_a_warehouse(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "warehouse.yaml").write_bytes(text.encode("utf-8", "replace"))
    try:
        load_location(folder)
    except WarehouseError as error:
        assert str(error)


SECRET = "hunter2-s3cret"
SLIPS = st.sampled_from(["", "/", "?", "#", "%", "[", " ", "&x", "@", ":99999", "?stream=a&b=c"])


@briefly(8)
@given(st.sampled_from(["redis", "rediss", "kafka", "REDIS", "file", "postgres"]), SLIPS, SLIPS)
def test_no_error_shows_a_password(scheme: str, before: str, after: str) -> None:
    for uri in (
        f"{scheme}://user:{SECRET}{before}@host{after}/0?stream=a",
        f"{scheme}:/user:{SECRET}{before}@host{after}/0?stream=a",
    ):
        try:
            source = open_live_source(uri)
        except InputError as error:
            assert SECRET not in str(error)
        else:
            shown = source.name
            source.close()
            assert SECRET not in shown or scheme not in ("redis", "rediss", "kafka", "REDIS")


@briefly(20)
@given(st.one_of(TEXT, json_values(["offset", "line", "tail", "inode", "inside"]).map(json.dumps)))
def test_positions(text: str) -> None:
    EntryId.parse(text)
    try:
        place = Position.from_json(text)
    except ValueError:
        return
    assert Position.from_json(place.to_json()) == place


@briefly(8)
@given(st.lists(st.binary(max_size=30), max_size=4), st.binary(max_size=40))
def test_journals(
    tmp_path_factory: pytest.TempPathFactory, texts: list[bytes], torn: bytes
) -> None:
    """Whole answers are read, whatever a process that died left behind them."""
    folder = tmp_path_factory.mktemp("journal")
    journal = AnswerJournal(folder, "one")
    answers = [Answer(f"call_{n}", "ok", text.hex()) for n, text in enumerate(texts)]
    for answer in answers:
        journal.append(answer)
    with (folder / "one.answers").open("ab") as file:
        file.write(torn)
    assert list(journal.load())[: len(answers)] == answers


@briefly(8)
@given(json_values(["a"]))
def test_a_journal_of_something_else_is_passed_over(
    tmp_path_factory: pytest.TempPathFactory, value: Any
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    body = json.dumps(value).encode()
    head = len(body).to_bytes(4, "little") + zlib.crc32(body).to_bytes(4, "little")
    (folder / "one.answers").write_bytes(head + body)
    assert len(list(AnswerJournal(folder, "two").load())) <= 1


HEADERS = json_values(["__metadata__", "memoryflow", "format", "layers", "model", "precision"])


@briefly(15)
@given(st.one_of(HEADERS.map(json.dumps), st.text(max_size=20)), st.integers(-2, 2))
def test_headers_of_caches(tmp_path_factory: pytest.TempPathFactory, text: str, off: int) -> None:
    file: Path = tmp_path_factory.getbasetemp() / "x.safetensors"
    body = text.encode("utf-8", "replace")
    file.write_bytes(max(0, len(body) + off).to_bytes(8, "little") + body)
    with pytest.raises(KvStoreError):
        read_header(file)


WORDS = [
    *("SELECT", "FROM", "messages", "glob('/*')", "(", ")", "'", '"', "--", "/*", "*/", ";", "1"),
    *("EXPLAIN", "ANALYZE", "DELETE FROM messages", "COPY", "read_text('/etc/hostname')", ","),
    *("WITH a AS (", "UNION", "'/etc/hostname'", "\n", "AT (VERSION => 1)", "SHOW", "SUMMARIZE"),
]
QUERIES = st.one_of(TEXT, st.lists(st.sampled_from(WORDS), max_size=7).map(" ".join))


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlSession]:
    folder = tmp_path_factory.mktemp("sql") / "w"
    with open_warehouse(folder) as warehouse:
        commit(warehouse, [ChangeSet("messages", inserts=messages("c1", {"m1": "hello"}))])
    with SqlSession(folder) as opened:
        yield opened


@at_length
@given(QUERIES)
def test_queries_at_length(session: SqlSession, query: str) -> None:
    try:
        shown = str(session.execute(query).to_pylist())
    except SqlError as error:
        shown = str(error)
    assert Path("/etc/hostname").read_text().strip() not in shown
    assert session.execute("FROM messages").num_rows == 1
