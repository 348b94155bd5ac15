"""vLLM answers from injected caches what transformers answers, token for token.

Real vLLM on CPU with the packaged model, in float32. One engine for the module; the last test
kills it. Its KV cache has room for about 2,500 tokens.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Generator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
from pytest import TempPathFactory

from operators.llm.packaged.resolve import SMOLLM2
from operators.replay.compressed import CompressedKv
from operators.replay.engines.base import ReplayAnswer, ReplayEngineError, ReplayRequest, StoredKv
from operators.replay.engines.vllm_engine import VllmReplayEngine
from operators.replay.kv_header import KvStoreError
from operators.replay.layer_budgets.uniform import Uniform
from operators.replay.mergers.gaussian import Gaussian
from operators.replay.method import Method
from operators.replay.model import ReplayModel
from operators.replay.prefill import compress
from operators.replay.scorers.expected_attention import ExpectedAttention
from operators.replay.scorers.keydiff import KeyDiff
from operators.replay.scorers.patch_prompt import PatchPrompt
from operators.replay.scorers.snapkv import SnapKv
from operators.replay.scorers.streaming import Streaming
from operators.replay.selections.composite import Composite
from operators.replay.selections.per_head import PerHead
from operators.replay.selections.shared import Shared
from operators.replay.spec import ReplaySpec
from operators.replay.store import load_kv
from tests.operators.replay.engines.caches import STREAMING, Caches, dialogue

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("vllm") is None, reason="no vLLM here (make setup-llm)"),
]

SPEC = ReplaySpec(kv_cache_gib=0.11)
QUESTION = "\nQuestion: Who went to Rome, and what for?\nAnswer:"

METHODS = {
    "keydiff": Method(KeyDiff(), PerHead(), Uniform()),
    "snapkv": Method(SnapKv(), PerHead(), Uniform()),
    "patch prompt": Method(PatchPrompt(), PerHead(), Uniform()),
    "expected attention": Method(ExpectedAttention(), PerHead(), Uniform()),
    "streaming": Method(Streaming(), PerHead(), Uniform()),
    "shared": Method(KeyDiff(), Shared(), Uniform()),
    "composite": Method(SnapKv(), Composite(across_layers=False), Uniform()),
    "merged": Method(SnapKv(), PerHead(), Uniform(), Gaussian()),
}


@pytest.fixture(scope="module")
def caches(tmp_path_factory: TempPathFactory) -> Caches:
    return Caches(ReplayModel.load(SMOLLM2), tmp_path_factory.mktemp("kv"))


@pytest.fixture(scope="module")
def engine() -> Generator[VllmReplayEngine]:
    before = dict(os.environ)
    engine = VllmReplayEngine(SPEC)
    assert dict(os.environ) == before
    yield engine
    engine.close()
    engine.close()


def tokens_of(answers: list[ReplayAnswer]) -> list[tuple[int, ...]]:
    return [answer.tokens for answer in answers]


def test_a_full_cache_is_as_good_as_its_text(engine: VllmReplayEngine, caches: Caches) -> None:
    """Also where the cache ends within a block of vLLM (32 tokens), or at its end."""
    text = caches.tokens(dialogue("a concert", 6))
    lengths = (1, 31, 32, 33, 96, 129)
    stored = [caches.full(f"full-{length}", text[:length]) for length in lengths]
    plain = [caches.request(None, QUESTION, *text[:length]) for length in lengths]
    injected = [caches.request(cache, QUESTION) for cache in stored]
    answers = engine.answer(injected)
    assert tokens_of(answers) == tokens_of(engine.answer(plain))
    assert tokens_of(answers) == caches.expected(*injected)
    assert {len(answer.tokens) for answer in answers} == {12}
    for answer in answers:
        assert answer.text == caches.model.tokenizer.decode(answer.tokens).strip()
        assert answer.first_token_ms > 0


@pytest.mark.parametrize("budget", [150, 75])
def test_every_rectangular_method(engine: VllmReplayEngine, caches: Caches, budget: int) -> None:
    text, patch = caches.tokens(dialogue("a match", 10)), caches.tokens(dialogue("a match", 1))
    made = {
        name: compress(caches.model, text, patch, budget, replace(method, block=128))
        for name, method in METHODS.items()
    }
    stored = [caches.store(f"{name}-{budget}", kv) for name, kv in made.items()]
    stored += [
        caches.store(f"int8-{budget}", made["keydiff"], "int8"),
        caches.store(f"bfloat16-{budget}", made["keydiff"], "bfloat16"),
    ]
    requests = [caches.request(cache, QUESTION) for cache in stored]
    assert tokens_of(engine.answer(requests)) == caches.expected(*requests)


def test_keys_that_are_not_moved_give_other_answers(
    engine: VllmReplayEngine, caches: Caches
) -> None:
    """The control: what the tests above compare does depend on what is in the file."""
    text = caches.tokens(dialogue("a match", 10))
    moved = compress(caches.model, text, (), 75, replace(STREAMING, block=128))
    left = compress(caches.model, text, (), 75, replace(STREAMING, block=128, rerotate=False))
    requests = [
        caches.request(caches.store(name, kv), QUESTION)
        for name, kv in (("moved", moved), ("left", left))
    ]
    answers = tokens_of(engine.answer(requests))
    assert answers[0] == caches.expected(requests[0])[0]
    assert answers[1] != answers[0]


def test_episodes_of_equal_length_never_mix(engine: VllmReplayEngine, caches: Caches) -> None:
    """Their placeholders are alike, and the second time vLLM has their blocks."""
    abouts = ("a wedding", "a funeral")
    one, two = (caches.request(caches.dialogue(about), QUESTION) for about in abouts)
    assert one.tokens == two.tokens
    first, second = caches.expected(one, two)
    assert first != second
    assert tokens_of(engine.answer([one])) == [first]
    assert tokens_of(engine.answer([two])) == [second]
    assert tokens_of(engine.answer([two, one, one, two])) == [second, first, first, second]
    assert tokens_of(engine.answer([one, two])) == [first, second]


def test_one_id_with_other_bytes_is_another_cache(engine: VllmReplayEngine, caches: Caches) -> None:
    """A cache that was made again, differently: vLLM's blocks of before must not serve it."""
    before, after = (
        caches.request(replace(caches.dialogue(about), kv_episode_id="the same"), QUESTION)
        for about in ("a wedding", "a funeral")
    )
    expected = caches.expected(before, after)
    assert expected[0] != expected[1]
    assert [tokens_of(engine.answer([one]))[0] for one in (before, after)] == expected


def test_plain_requests_beside_injected_ones(engine: VllmReplayEngine, caches: Caches) -> None:
    text = caches.tokens(dialogue("a wedding", 8))[:200]
    plain = [caches.request(None, QUESTION, *text), caches.request(None, "The capital of Peru is")]
    # A prompt that begins with what stands for caches is not one.
    plain.append(caches.request(None, QUESTION, *[0] * 200))
    injected = [
        caches.request(caches.dialogue(about), QUESTION) for about in ("a funeral", "a wedding")
    ]
    mixed = [plain[0], injected[0], plain[1], injected[1], plain[2]]
    assert tokens_of(engine.answer(mixed)) == caches.expected(*mixed)


def test_an_answer_ends_before_its_end_token(engine: VllmReplayEngine, caches: Caches) -> None:
    turn = [{"role": "user", "content": "What is the capital of France?"}]
    asked = caches.model.tokenizer.apply_chat_template(
        turn, add_generation_prompt=True, tokenize=True, return_dict=False
    )
    plain = ReplayRequest(tuple(asked), None, 24)
    injected = ReplayRequest(tuple(asked[-9:]), caches.full("france", asked[:-9]), 24)
    answers = engine.answer([plain, injected])
    assert tokens_of(answers) == caches.expected(plain, injected)
    assert len(answers[0].tokens) < 24
    assert answers[0] == replace(answers[1], first_token_ms=answers[0].first_token_ms)


def test_several_threads_may_ask_at_once(engine: VllmReplayEngine, caches: Caches) -> None:
    abouts = ("a wedding", "a funeral", "a play")
    requests = [caches.request(caches.dialogue(about), QUESTION) for about in abouts]
    found: dict[int, tuple[int, ...]] = {}

    def ask(number: int) -> None:
        found[number] = engine.answer([requests[number]])[0].tokens

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[number] for number in range(3)] == caches.expected(*requests)


def test_a_history_longer_than_the_window_of_the_model(
    engine: VllmReplayEngine, caches: Caches
) -> None:
    text = caches.tokens(dialogue("a fair", 240))
    assert len(text) > 8_192
    long = compress(caches.model, text, (), 1_200, replace(STREAMING, block=1_024))
    request = caches.request(caches.store("long", long), QUESTION)
    assert tokens_of(engine.answer([request])) == caches.expected(request)


def test_more_caches_than_there_is_room_for(engine: VllmReplayEngine, caches: Caches) -> None:
    """vLLM makes requests wait, or takes their blocks away and loads the caches again."""
    texts = [caches.tokens(dialogue(f"story {n} of", 13))[:316] for n in range(9)]
    requests = [
        caches.request(caches.full(f"room-{n}", text), QUESTION, max_tokens=40)
        for n, text in enumerate(texts)
    ]
    assert sum(r.cache.length for r in requests if r.cache) > engine.longest
    answers = engine.answer(requests)
    assert tokens_of(answers)[::4] == caches.expected(*requests[::4])


def shorter_in_one_layer(kv: CompressedKv) -> CompressedKv:
    return replace(
        kv,
        keys=(kv.keys[0][:, 1:], *kv.keys[1:]),
        values=(kv.values[0][:, 1:], *kv.values[1:]),
        positions=(kv.positions[0][:, 1:], *kv.positions[1:]),
    )


def damaged(cache: StoredKv, folder: Path) -> StoredKv:
    data = bytearray(cache.path.read_bytes())
    data[-100] ^= 1
    path = folder / cache.path.name
    path.write_bytes(data)
    return replace(cache, path=path)


def test_an_unusable_file_refuses_the_whole_call(
    engine: VllmReplayEngine, caches: Caches, tmp_path: Path
) -> None:
    good = caches.dialogue("a wedding")
    ragged = shorter_in_one_layer(load_kv(good.path, good.checksum))
    refused: list[tuple[StoredKv, type[Exception], str]] = [
        (damaged(good, tmp_path), KvStoreError, "damaged"),
        (replace(good, path=tmp_path / "gone"), KvStoreError, "cannot be read"),
        (replace(good, length=good.length - 1), KvStoreError, "199 are recorded"),
        (replace(good, checksum="0" * 64), KvStoreError, "SHA-256"),
        (caches.store("ragged", ragged), ReplayEngineError, "`engine: transformers` serves"),
    ]
    fine = caches.request(good, QUESTION)
    for cache, kind, message in refused:
        with pytest.raises(kind, match=message):
            engine.answer([fine, caches.request(cache, QUESTION)])
    with pytest.raises(ReplayEngineError, match="at least one token"):
        engine.answer([replace(fine, tokens=())])
    with pytest.raises(ReplayEngineError, match="Take a higher `ratio`"):
        engine.answer([replace(fine, max_tokens=4_000)])
    assert tokens_of(engine.answer([fine])) == caches.expected(fine)
    assert engine.answer([]) == []


def test_a_file_that_changes_after_it_was_verified(
    engine: VllmReplayEngine, caches: Caches, tmp_path: Path
) -> None:
    """The worker sees it and gives up that request; the next one is answered rightly."""
    cache = caches.dialogue("a picnic")
    request, other = (caches.request(c, QUESTION) for c in (cache, caches.dialogue("a play")))
    good, stat = cache.path.read_bytes(), cache.path.stat()
    engine.files.verify(cache)
    bad = damaged(cache, tmp_path).path.read_bytes()
    cache.path.write_bytes(bad)
    os.utime(cache.path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(KvStoreError, match="damaged"):
        engine.answer([request])
    assert tokens_of(engine.answer([other])) == caches.expected(other)
    cache.path.write_bytes(good)
    assert tokens_of(engine.answer([request])) == caches.expected(request)


def test_nothing_listens_beyond_this_machine(engine: VllmReplayEngine) -> None:
    for process in psutil.Process().children(recursive=True):
        for connection in process.net_connections("inet"):
            if connection.status == psutil.CONN_LISTEN:
                assert connection.laddr.ip in ("127.0.0.1", "::1", "::ffff:127.0.0.1")


def test_death_of_the_engine_fails_all_requests_at_once(
    engine: VllmReplayEngine, caches: Caches
) -> None:
    """The last test: nothing is answered after it."""
    (core,) = (child for child in multiprocessing.active_children() if "Engine" in child.name)
    assert core.pid is not None
    workers = psutil.Process(core.pid).children()
    endless = [
        caches.request(caches.dialogue(about), QUESTION, max_tokens=1_500)
        for about in ("a wedding", "a funeral", "a play")
    ]
    killed: list[float] = []

    def kill() -> None:
        time.sleep(1)
        os.kill(core.pid or 0, signal.SIGKILL)
        killed.append(time.monotonic())

    killing = threading.Thread(target=kill)
    killing.start()
    with pytest.raises(ReplayEngineError, match="died"):
        engine.answer(endless)
    killing.join()
    assert time.monotonic() - killed[0] < 60
    with pytest.raises(ReplayEngineError, match="died"):
        engine.answer(endless[:1])
    engine.close()
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive
    with pytest.raises(ReplayEngineError, match="closed"):
        engine.answer(endless[:1])
