"""A larger model with random weights: for speed only, where no large one is at hand."""

import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from operators.replay.model import ReplayModel


def random_llama(tokenizer_of: str, dtype: str, device: str) -> ReplayModel:
    """A Llama of 1.2e9 weights, of the shape of Llama 3.2 1B, with another model's tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_of)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=2048,
        intermediate_size=8192,
        num_hidden_layers=16,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=64,
        max_position_embeddings=131_072,
        rope_parameters={"rope_type": "default", "rope_theta": 500_000.0},
        # No token ends an answer early.
        eos_token_id=None,
        bos_token_id=None,
    )
    torch.manual_seed(0)
    with torch.device(device):
        decoder = LlamaForCausalLM(config).to(getattr(torch, dtype))
    return ReplayModel(decoder, tokenizer, "random-llama-1b")
