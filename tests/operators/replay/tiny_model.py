"""A Llama of a few thousand random weights, made in milliseconds: no download, no tokenizer."""

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from operators.replay.model import ReplayModel


def tiny_config(
    layers: int = 2,
    kv_heads: int = 2,
    query_heads: int = 4,
    head_dim: int = 16,
    vocabulary: int = 256,
) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=query_heads * head_dim,
        intermediate_size=2 * query_heads * head_dim,
        num_hidden_layers=layers,
        num_attention_heads=query_heads,
        num_key_value_heads=kv_heads,
        head_dim=head_dim,
        max_position_embeddings=512,
        initializer_range=0.2,  # as small as usual, all tokens would be alike
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )


def tiny_decoder(seed: int = 0, config: LlamaConfig | None = None) -> LlamaForCausalLM:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return LlamaForCausalLM(config or tiny_config())


def tiny_model(
    seed: int = 0,
    layers: int = 2,
    kv_heads: int = 2,
    query_heads: int = 4,
    head_dim: int = 16,
    vocabulary: int = 256,
) -> ReplayModel:
    config = tiny_config(layers, kv_heads, query_heads, head_dim, vocabulary)
    return ReplayModel(tiny_decoder(seed, config), None, f"tiny-{seed}-{config.to_json_string()}")


def tiny_tokens(count: int, seed: int = 0, vocabulary: int = 256) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, vocabulary, (count,), generator=generator).tolist()
