"""The model that replays history: a transformers decoder whose cache and attention are ours."""

from collections.abc import Sequence
from typing import Any, Self

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from operators.replay import attention
from operators.replay.attention import Observer, Step
from operators.replay.cache import BlockCache
from operators.replay.compressed import CompressedKv
from operators.replay.engines.base import ReplayEngineError
from operators.replay.rotary import Rotary
from operators.replay.weights import model_folder, weights_fingerprint

__all__ = ["Observer", "ReplayModel", "weights_fingerprint"]

_DECODERS: Any = AutoModelForCausalLM

_FIXED_ROTATIONS = ("default", "linear", "llama3", "yarn")
"""Kinds of rotary scaling whose frequencies do not depend on the length of the text."""


class ReplayModel:
    """A decoder-only model of the Llama kind (Llama, Qwen 2 and 3, Mistral, SmolLM2).

    Runs one sequence at a time. Deterministic for one machine, type and number of threads.

    Attributes:
        layers: decoder layers.
        kv_heads: heads of keys and values in a layer.
        query_heads: heads of queries in a layer.
        head_dim: of each head.
        vocabulary: length of the logits.
        rotary: position embedding of queries and keys.
        tokenizer: transformers' (None in some tests).
        end_tokens: that end an answer.
        fingerprint: of configuration, tokenizer and weights.
        device: of weights and caches.
        dtype: of arithmetic and caches.
    """

    def __init__(self, decoder: Any, tokenizer: Any, fingerprint: str) -> None:
        """Take over a `PreTrainedModel` and its tokenizer.

        Raises:
            ReplayEngineError: caches of this model cannot be compressed; says why.
        """
        config = decoder.config.get_text_config()
        _refuse_config(config)
        self.query_heads = int(config.num_attention_heads)
        self.kv_heads = int(getattr(config, "num_key_value_heads", None) or self.query_heads)
        self.layers = int(config.num_hidden_layers)
        self.head_dim = int(
            getattr(config, "head_dim", None) or config.hidden_size // self.query_heads
        )
        self.vocabulary = int(config.vocab_size)
        self.tokenizer = tokenizer
        self.fingerprint = fingerprint
        self.device: torch.device = decoder.device
        self.dtype: torch.dtype = decoder.dtype
        self.end_tokens = _end_tokens(decoder)
        self.rotary = _rotary(decoder)
        decoder.set_attn_implementation(attention.NAME)
        self._decoder = decoder.eval()
        self._refuse_rotation()

    @classmethod
    def load(cls, folder: str, dtype: str = "float32", device: str = "cpu") -> Self:
        """The model in `folder`, or of that packaged or hub name.

        Raises:
            ReplayEngineError: it cannot be found or loaded, or its caches cannot be compressed.
        """
        path = model_folder(folder)
        fingerprint = weights_fingerprint(path)
        disable_progress_bar()  # loading takes a second, and answers go to the same terminal
        try:
            tokenizer = AutoTokenizer.from_pretrained(path)
            decoder: Any = _DECODERS.from_pretrained(path, dtype=getattr(torch, dtype))
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise ReplayEngineError(f"replay: model: {folder}: {error}") from error
        return cls(decoder.to(device), tokenizer, fingerprint)

    def cache(self, capacity: int) -> BlockCache:
        """An empty cache with room for `capacity` tokens."""
        return BlockCache(
            layers=self.layers,
            kv_heads=self.kv_heads,
            head_dim=self.head_dim,
            capacity=capacity,
            dtype=self.dtype,
            device=self.device,
        )

    def cache_of(self, kv: CompressedKv | None, room: int) -> BlockCache:
        """A cache that begins with a copy of `kv`, if given, and has room for more.

        Raises:
            ReplayEngineError: `kv` has other shapes than this model.
        """
        if kv is None:
            return self.cache(room)
        shapes = {(tensor.shape[0], tensor.shape[2]) for tensor in (*kv.keys, *kv.values)}
        if len(kv.keys) != self.layers or shapes != {(self.kv_heads, self.head_dim)}:
            raise ReplayEngineError(
                f"replay: a cache of {len(kv.keys)} layers with (heads, dimensions) "
                f"{sorted(shapes)} is not of this model, which has {self.layers} layers with "
                f"{(self.kv_heads, self.head_dim)}; run `memoryflow replay --rebuild`"
            )
        return BlockCache.holding(_as(kv, self.dtype, self.device), room)

    def tensor(self, tokens: Sequence[int]) -> torch.Tensor:
        """Token ids as (n,), int64, on the model's device."""
        return torch.tensor(list(tokens), dtype=torch.int64, device=self.device)

    def forward(
        self,
        tokens: torch.Tensor,
        cache: BlockCache,
        *,
        start: int,
        observe: Observer | None = None,
    ) -> torch.Tensor:
        """Run `tokens` after what `cache` holds, and leave their keys and values there.

        Args:
            tokens: (n,), int64, n >= 1.
            cache: what stands before; `start` is its `length`, unless positions are given up.
            start: position of the first token.
            observe: called in each layer after its attention, with the cache after `tokens`.

        Returns:
            Logits of the token after the last one: (vocabulary,), float32.
        """
        return self.logits(tokens, cache, start=start, last=1, observe=observe)[0]

    @torch.no_grad()
    def logits(
        self,
        tokens: torch.Tensor,
        cache: BlockCache,
        *,
        start: int,
        last: int,
        observe: Observer | None = None,
    ) -> torch.Tensor:
        """As `forward`, with the logits after each of the last `last` tokens.

        Returns:
            (last, vocabulary), float32.
        """
        positions = torch.arange(start, start + tokens.shape[0], device=self.device)
        done = self._decoder(
            input_ids=tokens[None],
            position_ids=positions[None],
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=last,
            replay_step=Step(start, self.rotary, observe),
        )
        return done.logits[0].float()

    def _refuse_rotation(self) -> None:
        """Check by a trial that keys move by `rotary`, in every layer.

        A token that stands alone attends to itself only, so at two positions its keys differ by
        the rotation and nothing else, in all layers.
        """
        token, moved = self.tensor([self.vocabulary // 2]), 7
        here, there = self.cache(1), self.cache(1)
        self.forward(token, here, start=0)
        self.forward(token, there, start=moved)
        by = torch.tensor([moved], device=self.device)
        for layer in range(self.layers):
            expected = self.rotary.rotate(here.keys(layer), by).float()
            off = (there.keys(layer).float() - expected).norm() / expected.norm()
            if off > (1e-3 if self.dtype == torch.float32 else 0.05):
                raise ReplayEngineError(
                    f"replay: the keys of layer {layer} do not rotate with their position as "
                    "Llama's do, so kept tokens cannot be moved; take a Llama, Qwen or Mistral"
                )


def _refuse_config(config: Any) -> None:
    kinds = set(getattr(config, "layer_types", None) or ())
    sliding = getattr(config, "sliding_window", None) is not None
    if kinds - {"full_attention"} or (sliding and not kinds):
        raise ReplayEngineError(
            "replay: this model has sliding-window or other special layers, whose caches cannot be "
            "compressed; take a model in which every layer attends to everything"
        )
    rotation = getattr(config, "rope_parameters", None)
    if not isinstance(rotation, dict) or "rope_type" not in rotation:
        raise ReplayEngineError(
            "replay: this model has no rotary position embedding, or several; kept tokens cannot "
            "be moved; take a Llama, Qwen or Mistral model"
        )
    if rotation["rope_type"] not in _FIXED_ROTATIONS:
        raise ReplayEngineError(
            f"replay: rope_type {rotation['rope_type']} rotates by the length of the text, so kept "
            f"tokens cannot be moved; take a model with one of: {', '.join(_FIXED_ROTATIONS)}"
        )


def _rotary(decoder: Any) -> Rotary:
    found = [module.inv_freq for module in decoder.modules() if hasattr(module, "inv_freq")]
    if len(found) != 1:
        raise ReplayEngineError(
            f"replay: this model has {len(found)} rotary embeddings instead of one; take a Llama, "
            "Qwen or Mistral model"
        )
    return Rotary(found[0].detach().float().to(decoder.device))


def _end_tokens(decoder: Any) -> frozenset[int]:
    given = decoder.generation_config.eos_token_id
    return frozenset([given] if isinstance(given, int) else given or ())


def _as(kv: CompressedKv, dtype: torch.dtype, device: torch.device) -> CompressedKv:
    """`kv` in another type and on another device; itself if it is so already."""
    return CompressedKv(
        keys=tuple(key.to(device, dtype) for key in kv.keys),
        values=tuple(value.to(device, dtype) for value in kv.values),
        positions=tuple(position.to(device) for position in kv.positions),
        source_tokens=kv.source_tokens,
    )
