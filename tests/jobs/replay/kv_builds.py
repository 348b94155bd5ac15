"""Conversations without a pipeline run, and a compressor without a model."""

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from jobs.replay.compressors import Made, Task
from operators.replay.compressed import CompressedKv
from operators.replay.spec import EpisodeSpec, ReplaySpec
from operators.replay.store import save_kv
from schemas.ids import content_hash
from tests.transforms.warehouse.rows import START, make_rows
from transforms.warehouse.commit import commit, upsert
from transforms.warehouse.connection import Warehouse

# Windows of one message, parts of some ten messages: several episodes of little text.
SMALL = ReplaySpec(episodes=EpisodeSpec(window=1, max_chars=1_000))
CONVERSATION = ("default", "c1")
Talk = Mapping[str, str]


def talk(count: int, word: str = "words", first: int = 0) -> Talk:
    """Messages of some hundred characters."""
    numbers = range(first, first + count)
    return {f"m{n:03}": f"Message {n} has these {word}: " + "blah " * 18 for n in numbers}


def ingest(warehouse: Warehouse, texts: Talk, conversation: str = CONVERSATION[1]) -> None:
    """Messages into the table, a session per conversation, in the order of their ids."""
    rows: list[dict[str, Any]] = [
        {
            "conversation_id": conversation,
            "message_id": name,
            "content_hash": content_hash(text),
            "conflict": False,
            "speaker": "Ana",
            "timestamp": START,
            "seq": int(name[1:]),
            "text": text,
            "session_id": f"session-{conversation}",
        }
        for name, text in texts.items()
    ]
    commit(warehouse, [upsert("messages", make_rows("messages", rows))])


@dataclass
class FakeCompressor:
    """Files with numbers that depend on the id; remembers what it made.

    `after`: called after each file is written, before anybody is told.
    `salt`: another one makes other bytes for the same episode.
    """

    fingerprint: str = "model-1"
    versions: tuple[str, ...] = ("fake@1", "per_head@1")
    salt: int = 0
    after: Callable[[], None] = lambda: None
    made: list[str] = field(default_factory=list[str])

    def compress(self, tasks: Sequence[Task]) -> Generator[Made]:
        for task in tasks:
            self.made.append(task.kv_episode_id)
            present = set(task.messages["message_id"].to_pylist())
            assert set(task.episode.message_ids) <= present
            kv = _kv(task.kv_episode_id, self.salt)
            file = save_kv(task.folder, task.kv_episode_id, kv, "float32", model=self.fingerprint)
            self.after()
            yield Made(task, file, 4, 4, 16)


def _kv(name: str, salt: int) -> CompressedKv:
    generator = torch.Generator().manual_seed(int(content_hash(name, salt)[:8], 16))
    made = [torch.randn(2, 4, 8, generator=generator) for _ in range(4)]
    positions = torch.arange(4, dtype=torch.int32).expand(2, 4)
    return CompressedKv(tuple(made[:2]), tuple(made[2:]), (positions, positions), 16)


def kv_files(warehouse: Path) -> list[Path]:
    """All files under DIR/kv, hidden ones too."""
    return sorted(file for file in (warehouse / "kv").rglob("*") if file.is_file())


def sample_talk(log: Path, count: int) -> Talk:
    """The first messages of a bundled log."""
    with log.open() as file:
        lines = [json.loads(line) for _, line in zip(range(count), file, strict=False)]
    return {f"m{n:03}": line["text"] for n, line in enumerate(lines)}
