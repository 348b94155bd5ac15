"""A KV cache that is cut down in place: buffers of a fixed size, and what they have held."""

from dataclasses import dataclass, field
from typing import Any, Self

import torch

from operators.replay.compressed import CompressedKv


@dataclass
class _Layer:
    """Buffers of a layer; the first `length` tokens of each are in use.

    Attributes:
        keys: (kv_heads, capacity, head_dim).
        values: (kv_heads, capacity, head_dim).
        positions: (kv_heads, capacity), int32: number of the token in the source.
        length: tokens held.
        seen: tokens of the source so far: the number of the next one.
    """

    keys: torch.Tensor
    values: torch.Tensor
    positions: torch.Tensor
    length: int = 0
    seen: int = 0

    def resize(self, capacity: int) -> None:
        """Move to buffers of `capacity` tokens; those of before are freed."""
        self.keys = _moved(self.keys, self.length, capacity)
        self.values = _moved(self.values, self.length, capacity)
        self.positions = _moved(self.positions, self.length, capacity)


@dataclass
class BlockCache:
    """Keys and values of all layers, each in a buffer of its own that is written in place.

    transformers' models call `update` and nothing else of their own cache's interface. Layers
    may hold different numbers of tokens; one that would overflow gets a larger buffer.

    Attributes:
        peak_tokens: most tokens that any layer has held.
        peak_bytes: most bytes that the buffers of keys and values have taken together.
    """

    layers: int
    kv_heads: int
    head_dim: int
    capacity: int
    """Tokens that each layer has room for from the start."""
    dtype: torch.dtype = torch.float32
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    peak_tokens: int = field(default=0, init=False)
    peak_bytes: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._layers = [self._empty() for _ in range(self.layers)]
        self._measure()

    @classmethod
    def holding(cls, kv: CompressedKv, room: int) -> Self:
        """A cache that begins with a copy of `kv` and has room for `room` more tokens."""
        first = kv.keys[0]
        cache = cls(
            layers=len(kv.keys),
            kv_heads=first.shape[0],
            head_dim=first.shape[2],
            capacity=kv.length + room,
            dtype=first.dtype,
            device=first.device,
        )
        for number, (keys, values) in enumerate(zip(kv.keys, kv.values, strict=True)):
            cache.append(number, keys, values)
            layer = cache._layers[number]
            layer.positions[:, : layer.length] = kv.positions[number]
            layer.seen = kv.source_tokens
        return cache

    @property
    def lengths(self) -> list[int]:
        """Tokens held, per layer."""
        return [layer.length for layer in self._layers]

    @property
    def length(self) -> int:
        """Tokens held by the fullest layer: the position of the next token."""
        return max(self.lengths)

    @property
    def bytes(self) -> int:
        """Size of the buffers of keys and values."""
        return sum(_bytes(layer.keys) + _bytes(layer.values) for layer in self._layers)

    def keys(self, layer: int) -> torch.Tensor:
        """(kv_heads, n, head_dim): a view, until the next change."""
        return self._layers[layer].keys[:, : self._layers[layer].length]

    def values(self, layer: int) -> torch.Tensor:
        """(kv_heads, n, head_dim): a view, until the next change."""
        return self._layers[layer].values[:, : self._layers[layer].length]

    def positions(self, layer: int) -> torch.Tensor:
        """(kv_heads, n), int32: numbers of the tokens in the source; a view."""
        return self._layers[layer].positions[:, : self._layers[layer].length]

    def append(self, layer: int, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Add the next m tokens of the source to `layer`; each (kv_heads, m, head_dim)."""
        held = self._layers[layer]
        end = held.length + keys.shape[1]
        if end > held.keys.shape[1]:
            held.resize(end)
        held.keys[:, held.length : end] = keys
        held.values[:, held.length : end] = values
        held.positions[:, held.length : end] = torch.arange(
            held.seen, held.seen + keys.shape[1], dtype=torch.int32, device=held.keys.device
        )
        held.seen += keys.shape[1]
        held.length = end
        self._measure()

    def drop(self, tokens: int) -> None:
        """Forget the last `tokens` of every layer, as if they had never come."""
        for layer in self._layers:
            layer.length -= tokens
            layer.seen -= tokens

    def keep(
        self,
        layer: int,
        kept: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        room: int,
    ) -> None:
        """Hold only the `kept` tokens of `layer`, moved to the front, with new contents.

        Args:
            layer: number of the layer.
            kept: (kv_heads, k), int64, ascending: indices among the held tokens.
            keys: (kv_heads, k, head_dim); no views of the cache.
            values: (kv_heads, k, head_dim); no views of the cache.
            room: tokens that will come; a buffer that is larger than they need gives it back,
                so that what one layer keeps more is paid for by what another keeps less.
        """
        held = self._layers[layer]
        end = kept.shape[1]
        positions = self.positions(layer).gather(1, kept)
        held.keys[:, :end] = keys
        held.values[:, :end] = values
        held.positions[:, :end] = positions
        held.length = end
        if held.keys.shape[1] > end + room:
            held.resize(end + room)

    def compressed(self) -> CompressedKv:
        """A copy of what is held, of its exact size."""
        numbers = range(self.layers)
        return CompressedKv(
            keys=tuple(self.keys(number).clone() for number in numbers),
            values=tuple(self.values(number).clone() for number in numbers),
            positions=tuple(self.positions(number).clone() for number in numbers),
            source_tokens=self._layers[0].seen,
        )

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *_: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """`append` as transformers calls it: gives all keys and values of the layer, batch of 1."""
        self.append(layer_idx, key_states[0], value_states[0])
        return self.keys(layer_idx)[None], self.values(layer_idx)[None]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Tokens held by a layer; part of transformers' interface."""
        return self._layers[layer_idx].length

    def _empty(self) -> _Layer:
        shape = (self.kv_heads, self.capacity)
        return _Layer(
            keys=torch.empty(*shape, self.head_dim, dtype=self.dtype, device=self.device),
            values=torch.empty(*shape, self.head_dim, dtype=self.dtype, device=self.device),
            positions=torch.empty(*shape, dtype=torch.int32, device=self.device),
        )

    def _measure(self) -> None:
        self.peak_tokens = max(self.peak_tokens, self.length)
        self.peak_bytes = max(self.peak_bytes, self.bytes)


def _moved(buffer: torch.Tensor, length: int, capacity: int) -> torch.Tensor:
    moved = buffer.new_empty(buffer.shape[0], capacity, *buffer.shape[2:])
    moved[:, :length] = buffer[:, :length]
    return moved


def _bytes(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()
