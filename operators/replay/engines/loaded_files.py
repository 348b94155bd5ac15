"""The tensor files read last, kept in memory."""

from collections import OrderedDict
from pathlib import Path

import torch

from operators.replay.compressed import CompressedKv
from operators.replay.store import load_kv


class LoadedFiles:
    """Caches by checksum; those not used for longest go when they are too large together.

    Questions that come together ask for the same few episodes, and vLLM keeps only whole
    blocks, so that the end of an episode is written again for each of them.
    """

    def __init__(self, dtype: torch.dtype, most_bytes: int = 512 * 2**20) -> None:
        self._dtype = dtype
        self._most_bytes = most_bytes
        self._held: OrderedDict[str, CompressedKv] = OrderedDict()

    def get(self, path: Path, checksum: str) -> CompressedKv:
        """The cache in `path`; read and verified unless it is held.

        Raises:
            KvStoreError: missing, or not what was recorded.
        """
        held = self._held.get(checksum)
        if held is not None:
            self._held.move_to_end(checksum)
            return held
        kv = load_kv(path, checksum, self._dtype)
        self._held[checksum] = kv
        while len(self._held) > 1 and self.bytes > self._most_bytes:
            self._held.popitem(last=False)
        return kv

    @property
    def bytes(self) -> int:
        """What is held; more than allowed only if a single cache is."""
        return sum(kv.bytes for kv in self._held.values())
