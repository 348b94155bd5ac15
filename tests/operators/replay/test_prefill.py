"""Block-wise prefill: exact with a full budget, bounded with a small one, positions closed up."""

import math
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import pytest
import torch

from operators.replay.compressed import CompressedKv
from operators.replay.engines.transformers_engine import generate, next_token_logits
from operators.replay.layer_budgets.cake import Cake
from operators.replay.layer_budgets.uniform import Uniform
from operators.replay.layer_view import LayerView
from operators.replay.mergers.gaussian import Gaussian
from operators.replay.method import Method
from operators.replay.model import ReplayModel
from operators.replay.prefill import Prefilled, compress, prefill
from operators.replay.scorers.expected_attention import ExpectedAttention
from operators.replay.scorers.keydiff import KeyDiff
from operators.replay.scorers.patch_prompt import PatchPrompt
from operators.replay.scorers.snapkv import SnapKv
from operators.replay.scorers.streaming import Streaming
from operators.replay.selections.composite import Composite
from operators.replay.selections.per_head import PerHead
from operators.replay.selections.shared import Shared
from tests.operators.replay.tiny_model import tiny_model, tiny_tokens

_QUESTION = [3, 1, 4, 1, 5, 9]


@dataclass(frozen=True)
class _ByToken:
    """Worth of a token: a fixed random number for its content, so tests know what is kept."""

    name: ClassVar[str] = "by_token"
    version: ClassVar[int] = 1
    queries: ClassVar[Literal["block", "patch"]] = "block"

    def score(self, view: LayerView) -> torch.Tensor:
        return (view.values[..., 0] * 1e3).sin()


@dataclass(frozen=True)
class _Watching(_ByToken):
    """Writes down what it is shown."""

    queries: ClassVar[Literal["block", "patch"]] = "patch"
    views: list[tuple[int, int, list[int]]] = field(default_factory=list)

    def score(self, view: LayerView) -> torch.Tensor:
        self.views.append((view.layer, view.keys.shape[1], view.query_positions.tolist()))
        return super().score(view)


@dataclass(frozen=True)
class _Lopsided:
    """The first layer gets half of the mean, the second the rest."""

    name: ClassVar[str] = "lopsided"
    version: ClassVar[int] = 1

    def observe(self, view: LayerView) -> float:
        return float(view.layer)

    def allocate(self, budget: int, observed: list[float]) -> list[int]:
        assert observed == [0.0, 1.0]
        return [budget // 2, 2 * budget - budget // 2]


def _method(**parts: object) -> Method:
    plain = Method(_ByToken(), PerHead(), Uniform(), block=16, sinks=2)
    return replace(plain, **parts)  # pyright: ignore[reportArgumentType]


def _one_shot(model: ReplayModel, tokens: list[int]) -> CompressedKv:
    cache = model.cache(len(tokens))
    model.forward(model.tensor(tokens), cache, start=0)
    return cache.compressed()


@pytest.mark.parametrize("block", [16, 17, 100, 4_000])
@pytest.mark.parametrize("scorer", [_ByToken(), PatchPrompt()])
def test_a_full_budget_is_one_prefill(block: int, scorer: _ByToken) -> None:
    model, tokens = tiny_model(), tiny_tokens(100)
    done = prefill(model, tokens, [7, 8], 100, _method(scorer=scorer, block=block))
    whole = _one_shot(model, tokens)
    assert done.peak_tokens == done.kv.length == done.kv.source_tokens == 100
    for layer in range(model.layers):
        assert torch.allclose(done.kv.keys[layer], whole.keys[layer], atol=1e-4)
        assert torch.allclose(done.kv.values[layer], whole.values[layer], atol=1e-4)
        assert done.kv.positions[layer].tolist() == [list(range(100))] * 2
    logits = next_token_logits(model, done.kv, _QUESTION)
    plain = next_token_logits(model, None, [*tokens, *_QUESTION])
    assert torch.allclose(logits, plain, atol=1e-4)
    answer = generate(model, done.kv, _QUESTION, 20).tokens
    assert answer == generate(model, None, [*tokens, *_QUESTION], 20).tokens
    assert len(answer) == 20


def test_one_eviction_is_a_choice_from_one_prefill() -> None:
    model, tokens = tiny_model(), tiny_tokens(40)
    kv = compress(model, tokens, [], 10, _method(block=64))
    whole = _one_shot(model, tokens)
    for layer in range(model.layers):
        assert kv.positions[layer].dtype == torch.int32
        scores = (whole.values[layer][..., 0] * 1e3).sin()
        scores[:, :2] = math.inf
        for head in range(model.kv_heads):
            best = sorted(scores[head].argsort(descending=True)[:10].tolist())
            assert kv.positions[layer][head].tolist() == best
            assert torch.equal(kv.values[layer][head], whole.values[layer][head][best])
            by = torch.arange(10) - torch.tensor(best)
            moved = model.rotary.rotate(whole.keys[layer][head : head + 1, best], by)
            assert torch.allclose(kv.keys[layer][head : head + 1], moved, atol=1e-5)


def test_positions_are_those_of_a_cache_that_was_always_short() -> None:
    # With sinks and recent tokens only, the first layer's keys depend on token and position alone.
    model, tokens = tiny_model(), tiny_tokens(400)
    kv = compress(model, tokens, [], 20, _method(scorer=Streaming()))
    kept = kv.positions[0][0].tolist()
    assert kept == [0, 1, *range(382, 400)]
    short = _one_shot(model, [tokens[number] for number in kept])
    assert torch.allclose(kv.keys[0], short.keys[0], atol=1e-4)
    assert torch.allclose(kv.values[0], short.values[0], atol=1e-4)


def _bounded(model: ReplayModel, done: Prefilled, budget: int, block: int) -> bool:
    token = 2 * model.kv_heads * model.head_dim * 4
    return done.peak_bytes <= model.layers * (budget + block) * token


@pytest.mark.parametrize(
    "scorer", [Streaming(), KeyDiff(), SnapKv(), PatchPrompt(), ExpectedAttention()]
)
@pytest.mark.parametrize("selection", [PerHead(), Shared(), Composite(across_layers=False)])
def test_every_method_is_bounded_and_keeps_the_budget(scorer: KeyDiff, selection: PerHead) -> None:
    model, tokens = tiny_model(), tiny_tokens(500)
    method = _method(scorer=scorer, selection=selection, block=64, sinks=4)
    done = prefill(model, tokens, tiny_tokens(20, seed=1), 50, method)
    again = prefill(model, tokens, tiny_tokens(20, seed=1), 50, method)
    assert done.kv.rectangular
    assert done.kv.length == 50
    assert done.kv.source_tokens == 500
    assert done.peak_tokens <= 50 + 64
    assert _bounded(model, done, 50, 64)
    for layer in range(model.layers):
        positions = done.kv.positions[layer]
        assert bool((positions[:, 1:] > positions[:, :-1]).all())
        assert positions[:, :4].tolist() == [[0, 1, 2, 3]] * 2
        assert int(positions.max()) < 500
        assert torch.equal(done.kv.keys[layer], again.kv.keys[layer])
        assert torch.equal(done.kv.values[layer], again.kv.values[layer])


def test_a_text_of_16k_tokens_never_takes_more_than_budget_and_block() -> None:
    model = tiny_model()  # its window is 512 positions
    done = prefill(model, tiny_tokens(16_384), [], 128, _method(scorer=KeyDiff(), block=256))
    assert done.kv.length == 128
    assert done.peak_tokens <= 128 + 256
    assert _bounded(model, done, 128, 256)


@pytest.mark.parametrize("layers", [_Lopsided(), Cake()])
@pytest.mark.parametrize("selection", [PerHead(), Composite()])
def test_layers_of_different_lengths_end_at_the_same_position(
    layers: _Lopsided, selection: PerHead
) -> None:
    model, tokens = tiny_model(), tiny_tokens(300)
    seen: list[tuple[int, int]] = []

    class Scorer(_ByToken):
        def score(self, view: LayerView) -> torch.Tensor:
            seen.append((view.offset + view.keys.shape[1], int(view.query_positions[-1]) + 1))
            return super().score(view)

    done = prefill(
        model, tokens, [], 40, _method(scorer=Scorer(), layers=layers, selection=selection)
    )
    assert all(end == asked for end, asked in seen)
    lengths = [key.shape[1] for key in done.kv.keys]
    assert sum(lengths) <= 80
    assert _bounded(model, done, 40, 16)
    # The first layer's keys depend on token and position alone.
    kept = done.kv.positions[0]
    for head in range(model.kv_heads):
        cache = model.cache(lengths[0])
        one = model.tensor([tokens[number] for number in kept[head].tolist()])
        model.forward(one, cache, start=done.kv.length - lengths[0])
        assert torch.allclose(done.kv.keys[0][head], cache.keys(0)[head], atol=1e-4)


def test_budgets_of_a_layer_are_kept() -> None:
    kv = compress(tiny_model(), tiny_tokens(300), [], 40, _method(layers=_Lopsided()))
    assert [key.shape[1] for key in kv.keys] == [20, 60]
    assert kv.length == 60
    assert not kv.rectangular


def test_a_short_last_block_is_cut_too() -> None:
    for count in (41, 42, 57):
        done = prefill(tiny_model(), tiny_tokens(count), [], 40, _method())
        assert done.kv.length == 40
        assert done.kv.source_tokens == count


def test_the_patch_prompt_looks_and_goes() -> None:
    scorer, patch = _Watching(), tiny_tokens(6, seed=5)
    done = prefill(tiny_model(), tiny_tokens(90), patch, 40, _method(scorer=scorer))
    assert done.peak_tokens <= 40 + 16
    # 30 come unseen in two blocks and 10 in one; then five of 10, with the patch prompt after it.
    asking = list(range(50, 56))
    assert scorer.views == [(layer, 50, asking) for _ in range(5) for layer in range(2)]
    assert max(int(positions.max()) for positions in done.kv.positions) < 90


def test_of_a_long_patch_prompt_half_a_block_looks() -> None:
    scorer = _Watching()
    prefill(tiny_model(), tiny_tokens(90), tiny_tokens(99, seed=5), 40, _method(scorer=scorer))
    assert {len(positions) for _, _, positions in scorer.views} == {8}


def test_the_patch_prompt_decides() -> None:
    model, tokens = tiny_model(), tiny_tokens(200)
    method = _method(scorer=PatchPrompt(), block=64)
    one = compress(model, tokens, tiny_tokens(20, seed=1), 40, method)
    other = compress(model, tokens, tiny_tokens(20, seed=2), 40, method)
    assert not torch.equal(one.positions[0], other.positions[0])


def test_without_moving_keys_answers_differ() -> None:
    model, tokens = tiny_model(layers=4), tiny_tokens(200)
    moved = compress(model, tokens, [], 50, _method(scorer=KeyDiff()))
    stale = compress(model, tokens, [], 50, _method(scorer=KeyDiff(), rerotate=False))
    one = generate(model, moved, _QUESTION, 20).tokens
    assert one != generate(model, stale, _QUESTION, 20).tokens


def test_merged_tokens_stand_where_kept_ones_would() -> None:
    model, tokens = tiny_model(), tiny_tokens(200)
    plain = compress(model, tokens, [], 50, _method())
    nothing = compress(model, tokens, [], 50, _method(merger=Gaussian(threshold=2.0)))
    assert torch.equal(plain.positions[0], nothing.positions[0])
    assert torch.allclose(plain.keys[0], nothing.keys[0], atol=1e-3)
    merged = compress(model, tokens, [], 50, _method(merger=Gaussian(threshold=-1.0)))
    assert merged.length == 50
    assert not torch.allclose(plain.values[0], merged.values[0], atol=1e-3)


def test_greedy_methods_are_refused() -> None:
    class Greedy(PerHead):
        def choose(self, scores, budgets):
            return [torch.arange(score.shape[1]).expand(score.shape) for score in scores]

    with pytest.raises(ValueError, match="keeps"):
        compress(tiny_model(), tiny_tokens(50), [], 20, _method(selection=Greedy()))


def test_nothing_cannot_be_compressed() -> None:
    with pytest.raises(ValueError, match="0 tokens"):
        compress(tiny_model(), [], [], 20, _method())
    with pytest.raises(ValueError, match="to 0"):
        compress(tiny_model(), [1], [], 0, _method())


@pytest.mark.slow
def test_smollm2_block_by_block() -> None:
    model = ReplayModel.load("smollm2-135m-instruct")
    words = "On {} May Caroline told Melanie about her pottery class and the {} cups she made. "
    text = "".join(words.format(day % 28 + 1, 3 * day) for day in range(16))
    tokens = model.tokenizer(text)["input_ids"]
    question = model.tokenizer("Question: What did Caroline make? Answer:")["input_ids"]
    method = Method(KeyDiff(), PerHead(), Uniform(), block=64)
    full = compress(model, tokens, [], len(tokens), method)
    logits = next_token_logits(model, full, question)
    assert torch.allclose(logits, next_token_logits(model, None, tokens + question), atol=1e-3)
    plain = generate(model, None, tokens + question, 20).tokens
    assert generate(model, full, question, 20).tokens == plain
    # Control: moving the kept keys matters.
    quarter = len(tokens) // 4
    moved = compress(model, tokens, [], quarter, method)
    stale = compress(model, tokens, [], quarter, replace(method, rerotate=False))
    one = generate(model, moved, question, 20).tokens
    assert one != generate(model, stale, question, 20).tokens


@pytest.mark.slow
def test_smollm2_beyond_its_window_stays_within_budget_and_block() -> None:
    model = ReplayModel.load("smollm2-135m-instruct")  # its window is 8,192 positions
    tokens = tiny_tokens(9_216, vocabulary=model.vocabulary)
    done = prefill(model, tokens, [], 64, Method(KeyDiff(), PerHead(), Uniform(), block=512))
    assert done.kv.length == 64
    assert done.peak_tokens <= 64 + 512
    assert done.peak_bytes <= (64 + 512) * model.layers * 2 * model.kv_heads * model.head_dim * 4
