"""Questions go to the episode that holds what search finds, and come back in order."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from jobs.errors import EngineError, UsageError
from jobs.replay.answer import ReplayQuestion, answer, one_conversation, wanted_conversations
from jobs.replay.compressors import LocalCompressor
from jobs.replay.engines import MANY, check_installed, choose_engine
from jobs.replay.recorded_spec import recorded_spec, spec_of_caches
from jobs.replay.routes import find_route
from jobs.replay.session import ReplaySession, bring_up
from jobs.search import SearchSession
from operators.llm.packaged.build_smollm2 import ModelBuildError
from operators.replay.kv_header import KvStoreError
from operators.replay.spec import EpisodeSpec, ReplaySpec
from tests.jobs.replay.asking import BEES, RepeatingEngine, add_messages, engine, talks_warehouse
from tests.jobs.replay.kv_builds import FakeCompressor
from transforms.warehouse.connection import open_warehouse
from transforms.warehouse.kv_files import begin_kv_changes

pytestmark = pytest.mark.slow  # Each builds a warehouse.

__all__ = ["engine"]

HOBBIES = ("default", "hobbies")
# Parts of four windows of one message: the bees, then the telescope.
SPEC = ReplaySpec(episodes=EpisodeSpec(window=1, clusters=2, anchors=8, max_chars=1_000))
ASKED = [
    ReplayQuestion("How many jars of honey?", HOBBIES, question_id="honey"),
    ReplayQuestion("What about the telescope lens?", HOBBIES, question_id="lens"),
    ReplayQuestion("Where do bees sleep in winter?", HOBBIES, question_id="winter"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = talks_warehouse(tmp_path_factory.mktemp("answers") / "warehouse")
    bring_up(path, [HOBBIES], SPEC, FakeCompressor())
    return path


def test_questions_go_to_their_episodes_and_answers_keep_the_order(
    folder: Path, engine: RepeatingEngine
) -> None:
    with (
        SearchSession.open(folder) as search,
        ReplaySession(search.warehouse, SPEC, FakeCompressor()) as session,
    ):
        found = answer(session, search, ASKED)
    assert [one.route.question_id for one in found] == ["honey", "lens", "winter"]
    honey, lens, winter = (one.route for one in found)
    assert honey.cache is winter.cache is not lens.cache
    assert {route.by for route in (honey, lens, winter)} == {"evidence"}
    assert honey.source_message_ids[0] == "hobbies/1"
    assert set(honey.source_message_ids) == set(honey.cache.source_message_ids)
    # One call, the questions to one cache next to each other.
    (requests,) = engine.calls
    caches = [r.cache.kv_episode_id for r in requests if r.cache]
    assert caches == sorted(caches)
    assert len(set(caches)) == 2
    assert engine.closed == 1


def test_json_names_the_episode_and_its_messages(folder: Path, engine: RepeatingEngine) -> None:
    with SearchSession.open(folder) as search:
        session = ReplaySession(search.warehouse, SPEC, FakeCompressor())
        (found,) = answer(session, search, ASKED[:1])
    row = json.loads(json.dumps(found.as_json()))
    cache = found.route.cache
    assert row == {
        "question_id": "honey",
        "question": "How many jars of honey?",
        "answer": "Answer:",
        "tenant": "default",
        "conversation_id": "hobbies",
        "kv_episode_id": cache.kv_episode_id,
        "episode_id": cache.episode_id,
        "routed_by": "evidence",
        "evidence": list(found.route.evidence),
        "source_message_ids": found.route.source_message_ids,
        "source_tokens": 16,
        "kept_tokens": 4,
        "scorer": "fake@1",
        "engine": "transformers",
        "first_token_ms": 1.5,
    }


def test_the_time_of_asking_is_told(folder: Path, engine: RepeatingEngine) -> None:
    asked = ReplayQuestion("Jars?", HOBBIES, datetime(2024, 5, 1, 9, tzinfo=UTC))
    with SearchSession.open(folder) as search:
        session = ReplaySession(search.warehouse, SPEC, FakeCompressor())
        answer(session, search, [asked, ReplayQuestion("Jars?", HOBBIES)])
    timed, plain = engine.calls[0]
    assert len(timed.tokens) > len(plain.tokens)


def test_without_evidence_the_nearest_centre_answers(folder: Path) -> None:
    with open_warehouse(folder, read_only=True) as opened:
        caches = ReplaySession(opened, SPEC, FakeCompressor()).caches(HOBBIES)
    for cache in caches:
        route = find_route("?", None, [], np.asarray(cache.centroid), caches)
        assert (route.by, route.cache, route.evidence) == ("centroid", cache, ())
        assert route.source_message_ids == list(cache.source_message_ids)


def test_a_conversation_without_current_caches_is_refused(tmp_path: Path) -> None:
    path = talks_warehouse(tmp_path / "w", {"hobbies": BEES})
    fake = FakeCompressor()
    bring_up(path, [HOBBIES], SPEC, fake)
    with open_warehouse(path) as opened:
        session = ReplaySession(opened, SPEC, fake)
        assert session.caches(HOBBIES)
        add_messages(opened, "hobbies", ["The bees swarmed."], first=len(BEES))
        assert session.caches(HOBBIES)  # As it was when it was first looked at ...
        session.forget()
        with pytest.raises(EngineError, match=r"no current KV cache.*--build-only"):
            session.caches(HOBBIES)  # ... until it is told to look again.


def test_nothing_is_opened_for_writing_where_nothing_is_missing(tmp_path: Path) -> None:
    path = talks_warehouse(tmp_path / "w", {"hobbies": BEES})
    fake, notes = FakeCompressor(), list[str]()
    (built,) = bring_up(path, [HOBBIES], SPEC, fake, note=notes.append)
    assert built.made == len(notes) == len(fake.made) > 0
    with open_warehouse(path):  # A writer holds the lock.
        (again,) = bring_up(path, [HOBBIES], SPEC, fake, note=notes.append)
    assert (again.made, again.caches[0].checksum) == (0, built.caches[0].checksum)
    (forced,) = bring_up(path, [HOBBIES], SPEC, fake, rebuild=True)
    assert forced.made == built.made


def test_questions_do_not_wait_for_somebody_elses_build(tmp_path: Path) -> None:
    path = talks_warehouse(tmp_path / "w", {"hobbies": BEES})
    (built,) = bring_up(path, [HOBBIES], SPEC, FakeCompressor())
    with open_warehouse(path) as building:
        begin_kv_changes(building)
        (found,) = bring_up(path, [HOBBIES], SPEC, FakeCompressor(), tidy=False)
    assert [c.checksum for c in found.caches] == [c.checksum for c in built.caches]
    bring_up(path, [HOBBIES], SPEC, FakeCompressor())
    assert not (path / "kv" / "unfinished").exists()


def test_no_messages_no_answer(folder: Path) -> None:
    with open_warehouse(folder, read_only=True) as opened:
        session = ReplaySession(opened, SPEC, FakeCompressor())
        with pytest.raises(EngineError, match="'nobody' has no messages"):
            session.caches(("default", "nobody"))


def test_what_the_packaged_model_lacks_is_said(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    def missing() -> Path:
        raise ModelBuildError("x.gguf not found; install it")

    monkeypatch.setattr("operators.replay.weights.weights_folder", missing)
    with pytest.raises(EngineError, match=r"x\.gguf not found; install it"):
        bring_up(folder, [HOBBIES], SPEC, LocalCompressor(SPEC))


def test_what_an_engine_or_the_store_says_is_an_error_of_the_job(
    folder: Path, engine: RepeatingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise KvStoreError("the file is damaged", Path("kv/x"))

    monkeypatch.setattr(engine, "answer", refuse)
    with SearchSession.open(folder) as search:
        session = ReplaySession(search.warehouse, SPEC, FakeCompressor())
        with pytest.raises(EngineError, match=r"kv/x: the file is damaged.*--rebuild"):
            answer(session, search, ASKED)


def test_auto_takes_vllm_for_many_questions_to_rectangular_caches(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_warehouse(folder, read_only=True) as opened:
        caches = ReplaySession(opened, SPEC, FakeCompressor()).caches(HOBBIES)
    files = [folder / cache.path for cache in caches]
    monkeypatch.setattr("jobs.replay.engines.find_spec", lambda name: name)
    assert choose_engine(SPEC, files, MANY) == "vllm"
    assert choose_engine(SPEC, files, 1) == "transformers"
    assert choose_engine(SPEC.model_copy(update={"gpus": 1.0}), files, 1) == "vllm"
    assert choose_engine(SPEC.model_copy(update={"engine": "vllm"}), files, 1) == "vllm"
    monkeypatch.setattr("jobs.replay.engines.find_spec", lambda _: None)
    assert choose_engine(SPEC, files, MANY) == "transformers"


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "jobs.replay.engines.find_spec", lambda name: None if name == "vllm" else name
    )
    check_installed(SPEC)
    with pytest.raises(EngineError, match=r"vllm is not installed.*cpu-vllm.*--engine transform"):
        check_installed(SPEC.model_copy(update={"engine": "vllm"}))
    monkeypatch.setattr("jobs.replay.engines.find_spec", lambda _: None)
    with pytest.raises(EngineError, match=r"needs torch, transformers.*memoryflow\[replay\]"):
        check_installed(SPEC)


def test_conversations_by_name(folder: Path) -> None:
    with open_warehouse(folder, read_only=True) as opened:
        assert one_conversation(opened, "hobbies", None) == HOBBIES
        assert len(wanted_conversations(opened, None, "default")) == 3
        with pytest.raises(UsageError, match="no conversation 'nobody' of tenant 'x' here"):
            one_conversation(opened, "nobody", "x")


def test_the_recorded_section_is_gone_by(folder: Path, tmp_path: Path) -> None:
    with open_warehouse(folder, read_only=True) as opened:
        assert recorded_spec(opened) == ReplaySpec()
        caches = ReplaySession(opened, SPEC, FakeCompressor()).caches(HOBBIES)
    assert spec_of_caches(SPEC, caches) == SPEC
    # What was made with other options is found by what it says of itself.
    other = SPEC.model_copy(update={"ratio": 8.0, "scorer": "snapkv"})
    assert spec_of_caches(other, caches) == SPEC
    assert spec_of_caches(other, []) == other
    with (
        open_warehouse(tmp_path / "empty") as empty,
        pytest.raises(UsageError, match="nothing has been built"),
    ):
        recorded_spec(empty)
