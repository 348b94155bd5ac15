"""Looks at tensor files before an engine is given them."""

import hashlib

from operators.replay.engines.base import ReplayEngineError, StoredKv
from operators.replay.kv_header import KvHeader, KvStoreError, read_header


class StoredFiles:
    """Verifies tensor files; one that has not changed since is not read again."""

    def __init__(self, model: str) -> None:
        """`model`: fingerprint that the files must name."""
        self._model = model
        self._verified: set[tuple[object, ...]] = set()

    def verify(self, cache: StoredKv) -> None:
        """Cost: about 1 s per GB, the first time.

        Raises:
            KvStoreError: missing, damaged, or of another model.
            ReplayEngineError: of layers that keep unequally many tokens.
        """
        header = read_header(cache.path, model=self._model)
        self._verify_bytes(cache)
        _verify_shape(cache, header)

    def _verify_bytes(self, cache: StoredKv) -> None:
        try:
            found = cache.path.stat()
            version = (cache.path, cache.checksum, found.st_ino, found.st_size, found.st_mtime_ns)
            if version in self._verified:
                return
            with cache.path.open("rb") as file:
                checksum = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise KvStoreError(f"the file cannot be read: {error.strerror}", cache.path) from error
        if checksum != cache.checksum:
            raise KvStoreError(
                "the file is damaged: its SHA-256 is not the recorded one", cache.path
            )
        self._verified.add(version)


def _verify_shape(cache: StoredKv, header: KvHeader) -> None:
    if not header.rectangular:
        raise ReplayEngineError(
            f"replay: {cache.path}: its layers keep {min(header.layers)} to {max(header.layers)} "
            "tokens; vLLM needs equally many in all. `engine: transformers` serves such caches; "
            "`layers: uniform` with a selection other than `composite` makes caches for vLLM"
        )
    if header.length != cache.length:
        raise KvStoreError(
            f"it holds {header.length} tokens, {cache.length} are recorded", cache.path
        )
