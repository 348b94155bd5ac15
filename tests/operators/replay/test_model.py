"""Our attention and cache give the logits of transformers' own, and odd models are refused."""

import json
from pathlib import Path

import pytest
import torch
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTJConfig,
    GPTJForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    SmolLM3Config,
    SmolLM3ForCausalLM,
)

from operators.replay.attention import attend
from operators.replay.compressed import CompressedKv
from operators.replay.engines.base import ReplayEngineError
from operators.replay.layer_view import LayerView
from operators.replay.model import ReplayModel, weights_fingerprint
from tests.operators.replay.tiny_model import tiny_config, tiny_decoder, tiny_model, tiny_tokens

_SIZES = {
    "vocab_size": 128,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
    "initializer_range": 0.2,
}
_LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10_000.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
_YARN = {
    "rope_type": "yarn",
    "rope_theta": 10_000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 64,
}


def _decoders() -> dict[str, PreTrainedModel]:
    torch.manual_seed(0)
    return {
        "llama": LlamaForCausalLM(LlamaConfig(**_SIZES)),
        "llama3": LlamaForCausalLM(LlamaConfig(**_SIZES, rope_parameters=_LLAMA3)),
        "yarn": LlamaForCausalLM(LlamaConfig(**_SIZES, rope_parameters=_YARN)),
        "qwen2": Qwen2ForCausalLM(Qwen2Config(**_SIZES)),
        "qwen3": Qwen3ForCausalLM(Qwen3Config(**_SIZES)),
        "mistral": MistralForCausalLM(MistralConfig(**_SIZES, sliding_window=None)),
    }


@pytest.mark.parametrize("name", ["llama", "llama3", "yarn", "qwen2", "qwen3", "mistral"])
def test_blocks_of_any_size_give_the_logits_of_transformers(name: str) -> None:
    decoder = _decoders()[name].eval()
    tokens = torch.tensor(tiny_tokens(90, vocabulary=128))
    with torch.no_grad():
        expected = decoder(tokens[None]).logits[0]
    model = ReplayModel(decoder, None, "")
    for sizes in ([90], [1, 89], [40, 1, 1, 48]):
        cache, start = model.cache(90), 0
        for size in sizes:
            block = tokens[start : start + size]
            logits = model.logits(block, cache, start=start, last=size)
            assert torch.allclose(logits, expected[start : start + size], atol=1e-4)
            start += size


def test_the_last_logits_are_those_of_forward() -> None:
    model, tokens = tiny_model(), tiny_tokens(30)
    one = model.forward(model.tensor(tokens), model.cache(30), start=0)
    many = model.logits(model.tensor(tokens), model.cache(30), start=0, last=3)
    assert one.shape == (256,)
    assert one.dtype == torch.float32
    assert torch.allclose(one, many[-1], atol=1e-6)


def test_layers_may_hold_different_numbers_of_tokens() -> None:
    generator = torch.Generator().manual_seed(0)
    queries = torch.randn(1, 4, 5, 16, generator=generator)
    keys, values = torch.randn(2, 1, 2, 11, 16, generator=generator)
    found = attend(queries, keys, values, 0.25)
    for head in range(4):
        for asked in range(5):
            seen = 11 - 5 + asked + 1
            weights = (keys[0, head // 2, :seen] @ queries[0, head, asked] * 0.25).softmax(0)
            expected = weights @ values[0, head // 2, :seen]
            assert torch.allclose(found[0, head, asked], expected, atol=1e-5)


def test_the_observer_sees_every_layer_after_its_attention() -> None:
    model, tokens = tiny_model(), tiny_tokens(30)
    cache, views = model.cache(30), list[tuple[int, tuple[int, ...], list[int], int]]()

    def observe(view: LayerView) -> None:
        keys = tuple(view.keys.shape)
        views.append((view.layer, keys, view.query_positions.tolist(), view.offset))
        assert torch.equal(view.keys, cache.keys(view.layer))
        assert torch.equal(view.values, cache.values(view.layer))
        assert view.queries.shape == (4, 10, 16)
        assert torch.allclose(view.attention().sum(-1), torch.ones(4, 10))

    model.forward(model.tensor(tokens[:20]), cache, start=0)
    model.forward(model.tensor(tokens[20:]), cache, start=20, observe=observe)
    asked = list(range(20, 30))
    assert views == [(0, (2, 30, 16), asked, 0), (1, (2, 30, 16), asked, 0)]


def _refused(decoder: PreTrainedModel) -> str:
    with pytest.raises(ReplayEngineError) as refusal:
        ReplayModel(decoder, None, "")
    return str(refusal.value)


def test_sliding_windows_are_refused() -> None:
    windowed = MistralForCausalLM(MistralConfig(**_SIZES, sliding_window=32))
    assert "sliding-window" in _refused(windowed)
    mixed = Qwen2Config(**_SIZES, use_sliding_window=True, sliding_window=8, max_window_layers=1)
    assert "sliding-window" in _refused(Qwen2ForCausalLM(mixed))
    assert "sliding-window" in _refused(Gemma2ForCausalLM(Gemma2Config(**_SIZES)))


def test_rotations_that_depend_on_the_length_are_refused() -> None:
    changing = {"rope_type": "dynamic", "rope_theta": 10_000.0, "factor": 2.0}
    assert "dynamic" in _refused(LlamaForCausalLM(LlamaConfig(**_SIZES, rope_parameters=changing)))
    factors = {"short_factor": [1.0] * 8, "long_factor": [2.0] * 8}
    longrope = {
        "rope_type": "longrope",
        "rope_theta": 10_000.0,
        "original_max_position_embeddings": 64,
        **factors,
    }
    assert "longrope" in _refused(LlamaForCausalLM(LlamaConfig(**_SIZES, rope_parameters=longrope)))


def test_models_without_rotation_are_refused() -> None:
    learned = GPT2Config(vocab_size=64, n_embd=32, n_layer=2, n_head=2)
    assert "no rotary" in _refused(GPT2LMHeadModel(learned))
    interleaved = GPTJConfig(vocab_size=64, n_embd=32, n_layer=2, n_head=2, rotary_dim=8)
    assert "rotary" in _refused(GPTJForCausalLM(interleaved))


def test_a_layer_without_rotation_is_found_by_trial() -> None:
    # Every fourth layer of SmolLM3 has no positions, though its configuration has one rotation.
    some = SmolLM3ForCausalLM(SmolLM3Config(**_SIZES))
    assert "keys of layer 3 do not rotate" in _refused(some)


def test_a_cache_of_another_model_is_refused() -> None:
    kv = CompressedKv(
        keys=(torch.zeros(2, 3, 16),),
        values=(torch.zeros(2, 3, 16),),
        positions=(torch.zeros(2, 3, dtype=torch.int32),),
        source_tokens=3,
    )
    with pytest.raises(ReplayEngineError, match=r"1 layers .* not of this model"):
        tiny_model().cache_of(kv, 1)


def test_folders_that_cannot_be_loaded_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ReplayEngineError, match=r"config\.json and \*\.safetensors"):
        ReplayModel.load(str(tmp_path))


def test_names_that_no_hub_knows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(name: str, allow_patterns: list[str]) -> str:
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    with pytest.raises(ReplayEngineError, match=r"nobody/nothing is no folder.*no network"):
        ReplayModel.load("nobody/nothing")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    tiny_decoder(0, tiny_config()).save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    return tmp_path


def test_the_fingerprint_is_of_settings_tokenizer_and_weights(saved: Path) -> None:
    seen = {weights_fingerprint(saved)}
    assert weights_fingerprint(str(saved)) in seen
    (saved / "tokenizer.json").write_text("{ }")
    seen.add(weights_fingerprint(saved))
    (saved / "chat_template.jinja").write_text("{{ messages }}")
    seen.add(weights_fingerprint(saved))
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 0.5}))
    seen.add(weights_fingerprint(saved))
    weights = bytearray((saved / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (saved / "model.safetensors").write_bytes(bytes(weights))
    seen.add(weights_fingerprint(saved))
    assert len(seen) == 5


def test_the_version_of_transformers_is_not_in_the_fingerprint(saved: Path) -> None:
    before = weights_fingerprint(saved)
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps({**config, "transformers_version": "99"}))
    assert weights_fingerprint(saved) == before


def test_large_weights_are_known_by_their_ends(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("operators.replay.weights._HASHED_WHOLE", 0)
    monkeypatch.setattr("operators.replay.weights._ENDS", 64)
    before = weights_fingerprint(saved)
    weights = bytearray((saved / "model.safetensors").read_bytes())
    weights[len(weights) // 2] ^= 1
    (saved / "model.safetensors").write_bytes(bytes(weights))
    assert weights_fingerprint(saved) == before
    weights[-1] ^= 1
    (saved / "model.safetensors").write_bytes(bytes(weights))
    assert weights_fingerprint(saved) != before
