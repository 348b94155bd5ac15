"""Rows of `kv_episodes`, typed."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pyarrow as pa

from operators.base import Vectors
from operators.replay.engines.base import StoredKv
from schemas.tables import TABLES
from transforms.warehouse.connection import Warehouse
from transforms.warehouse.kv_files import KV_DIR
from transforms.warehouse.read import read_table
from transforms.warehouse.scope import Conversation

_TABLE = "kv_episodes"


@dataclass(frozen=True, eq=False)
class KvEpisode:
    """An episode's cache, as recorded; the columns of `kv_episodes`."""

    tenant: str
    conversation_id: str
    kv_episode_id: str
    episode_id: str
    model_id: str
    prompt: str
    compression_id: str
    compression: str
    scorer: str
    precision: str
    budget: int
    length: int
    token_count: int
    bytes: int
    checksum: str
    path: str
    centroid: Vectors
    source_message_ids: tuple[str, ...]
    patch_message_ids: tuple[str, ...]

    def stored(self, warehouse: Path) -> StoredKv:
        """For an engine; `warehouse` is its folder."""
        return StoredKv(self.kv_episode_id, warehouse / self.path, self.checksum, self.length)

    def has_file(self, warehouse: Path) -> bool:
        """Whether its file is there and of the recorded size; loading verifies the bytes.

        A path that leads out of the folder of tensor files counts as missing.
        """
        folder = (warehouse / KV_DIR).resolve()
        if not (warehouse / self.path).resolve().is_relative_to(folder):
            return False
        try:
            return (warehouse / self.path).stat().st_size == self.bytes
        except OSError:
            return False


_NAMES = [field.name for field in fields(KvEpisode)]


def read_kv_rows(warehouse: Warehouse, conversation: Conversation) -> list[KvEpisode]:
    """All caches of one conversation, by id."""
    table = read_table(warehouse, _TABLE, conversations=[conversation])
    rows = [_kv_episode(row) for row in table.to_pylist()]
    return sorted(rows, key=lambda row: row.kv_episode_id)


def kv_table(rows: Iterable[KvEpisode]) -> pa.Table:
    """Rows as Arrow, in the schema of the registry."""
    plain = [{name: _plain(getattr(row, name)) for name in _NAMES} for row in rows]
    return pa.Table.from_pylist(plain, schema=TABLES[_TABLE].schema)


def _kv_episode(row: dict[str, object]) -> KvEpisode:
    values = {name: row[name] for name in _NAMES}
    values["centroid"] = np.asarray(row["centroid"], np.float32)
    for name in ("source_message_ids", "patch_message_ids"):
        values[name] = tuple(row[name])  # pyright: ignore[reportArgumentType]
    return KvEpisode(**values)  # pyright: ignore[reportArgumentType]


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray):
        return value.tolist()
    return list(value) if isinstance(value, tuple) else value
