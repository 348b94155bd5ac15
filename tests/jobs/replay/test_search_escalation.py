"""A search asks the raw history where its evidence is thin, and only there."""

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from jobs.commands.recall import register
from jobs.replay.session import bring_up
from jobs.search import SearchOptions, SearchSession
from operators.replay.engines.base import ReplayEngineError
from tests.jobs.builds import rows_at
from tests.jobs.replay.asking import RepeatingEngine, add_messages, engine, talks_warehouse
from tests.jobs.replay.kv_builds import FakeCompressor
from tests.jobs.replay.test_answer import SPEC
from transforms.warehouse.connection import open_warehouse

pytestmark = pytest.mark.slow  # Each builds a warehouse.

__all__ = ["engine"]

DULL = ("default", "dull")
THIN = "What went on during the day?"
DEEP = SearchOptions(tier="deep", replay=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = talks_warehouse(tmp_path / "warehouse", spec=SPEC)
    bring_up(path, [DULL], SPEC, FakeCompressor())
    return path


@pytest.fixture
def session(folder: Path) -> Iterator[SearchSession]:
    with SearchSession.open(folder) as opened:
        yield opened


def test_thin_evidence_is_answered_first(session: SearchSession, engine: RepeatingEngine) -> None:
    plain = session.search(THIN, conversation="dull", options=SearchOptions(tier="deep"))
    found = session.search(THIN, conversation="dull", options=DEEP)
    first = found[0]
    assert (first.kind, first.tier, first.rank, first.text) == ("replay", "replay", 1, "Answer:")
    assert (first.id[:3], first.score, first.tenant) == ("kv_", plain[0].score, "default")
    assert first.source_message_ids[0] in {r.source_message_ids[0] for r in plain}
    assert [r.rank for r in found] == list(range(1, len(plain) + 1))
    assert [r.id for r in found[1:]] == [r.id for r in plain[:-1]]
    row = first.as_json()
    contract = {"rank", "score", "kind", "id", "text", "event_time", "source_message_ids"}
    assert contract <= set(row)
    # The engine is opened once for a session, and closed with it.
    session.search(THIN, conversation="dull", options=DEEP)
    assert (len(engine.calls), engine.closed) == (2, 0)
    session.close()
    assert engine.closed == 1


@pytest.mark.parametrize(
    ("question", "conversation", "options"),
    [
        (THIN, "dull", SearchOptions(tier="deep")),  # not asked for, as in eval
        (THIN, "dull", SearchOptions(tier="targeted", replay=True)),
        (THIN, "dull", SearchOptions(tier="auto", replay=True)),  # though it may go deep
        (THIN, "dull", SearchOptions(tier="deep", replay=True, archive="heat < 0")),
        ("How many jars of honey?", "hobbies", DEEP),  # too few messages to be thin
    ],
)
def test_otherwise_nothing_changes(
    session: SearchSession,
    engine: RepeatingEngine,
    question: str,
    conversation: str,
    options: SearchOptions,
) -> None:
    found = session.search(question, conversation=conversation, options=options)
    assert found
    assert "replay" not in {result.kind for result in found}
    assert not engine.calls


def test_not_as_of_a_time(session: SearchSession, engine: RepeatingEngine) -> None:
    later = datetime(2030, 1, 1, tzinfo=UTC)
    found = session.search(THIN, conversation="dull", as_of=later, options=DEEP)
    assert {result.kind for result in found} == {"fact"}
    assert not engine.calls


def test_without_caches_nothing_is_loaded(
    tmp_path: Path, engine: RepeatingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = talks_warehouse(tmp_path / "w")
    monkeypatch.setitem(sys.modules, "jobs.replay.escalation", None)  # Importing it would raise.
    with SearchSession.open(path) as session:
        found = session.search(THIN, conversation="dull", options=DEEP)
    assert {result.kind for result in found} == {"fact"}


def test_a_conversation_without_caches_beside_one_with_them(
    folder: Path, engine: RepeatingEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_warehouse(folder) as opened:
        add_messages(opened, "more", [f"On day {n} it was quiet." for n in range(40)])
    with SearchSession.open(folder) as session:
        found = session.search("What was it like?", conversation="more", options=DEEP)
    assert {result.kind for result in found} == {"fact"}
    assert capsys.readouterr().err == ""


def test_stale_caches_are_left_alone_and_named_once(
    folder: Path, engine: RepeatingEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_warehouse(folder) as opened:
        add_messages(opened, "dull", ["It was a day like any other."], first=40)
    with SearchSession.open(folder) as session:
        for _ in range(2):
            found = session.search(THIN, conversation="dull", options=DEEP)
            assert {result.kind for result in found} == {"fact"}
    told = capsys.readouterr().err
    assert told.count("no replay: conversation 'dull'") == 1
    assert "memoryflow replay --build-only" in told
    bring_up(folder, [DULL], SPEC, FakeCompressor())
    with SearchSession.open(folder) as session:
        assert session.search(THIN, conversation="dull", options=DEEP)[0].kind == "replay"


def test_an_engine_that_cannot_start_is_no_failure_of_the_search(
    session: SearchSession, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise ReplayEngineError("no such model")

    monkeypatch.setattr("jobs.replay.session.compressor_of", lambda _: FakeCompressor())
    monkeypatch.setattr("jobs.replay.session.open_engine", broken)
    found = session.search(THIN, conversation="dull", options=DEEP)
    assert {result.kind for result in found} == {"fact"}
    assert "no replay: no such model" in capsys.readouterr().err


class GoneModel(FakeCompressor):
    """Of a folder that has been moved away."""

    def __getattribute__(self, name: str) -> object:
        if name == "fingerprint":
            raise ReplayEngineError("the model has gone")
        return super().__getattribute__(name)


def test_a_model_that_is_gone_is_no_failure_of_the_search(
    session: SearchSession, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("jobs.replay.session.compressor_of", lambda _: GoneModel())
    found = session.search(THIN, conversation="dull", options=DEEP)
    assert {result.kind for result in found} == {"fact"}
    assert "no replay: the model has gone" in capsys.readouterr().err


def test_as_typed(folder: Path, engine: RepeatingEngine) -> None:
    def run(*options: str) -> list[dict[str, object]]:
        app = typer.Typer()
        register(app)
        asked = [THIN, "--conversation", "dull", "-w", str(folder), "--json", "--tier", "deep"]
        done = CliRunner().invoke(app, ["search", *asked, *options])
        assert done.exit_code == 0, done.exception
        return json.loads(done.stdout)

    assert [row["kind"] for row in run("--log-access")][:2] == ["replay", "fact"]
    # An answer is no memory: it becomes no warmer.
    assert {rank for (rank,) in rows_at(folder, "accesses", "rank")} == set(range(2, 11))
    assert {row["kind"] for row in run("--no-replay")} == {"fact"}
    assert len(engine.calls) == 1
