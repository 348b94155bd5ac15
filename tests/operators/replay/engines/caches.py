"""Caches of small dialogues, made with SmolLM2, and what transformers answers from them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from operators.replay.compressed import CompressedKv
from operators.replay.engines.base import ReplayRequest, StoredKv
from operators.replay.engines.transformers_engine import TransformersEngine
from operators.replay.layer_budgets.uniform import Uniform
from operators.replay.method import Method
from operators.replay.model import ReplayModel
from operators.replay.prefill import compress
from operators.replay.scorers.streaming import Streaming
from operators.replay.selections.per_head import PerHead
from operators.replay.spec import Precision
from operators.replay.store import save_kv

STREAMING = Method(Streaming(), PerHead(), Uniform(), block=64)
ANSWER = 12


def dialogue(about: str, lines: int) -> str:
    people, places = ("Ann", "Bob", "Cleo"), ("Oslo", "Rome", "Lima", "Kyoto", "Accra")
    return "".join(
        f"[{1 + at % 28} May 2023 13:{at % 60:02d}] {people[at % 3]}: I went to "
        f"{places[at * 7 % 5]} for {about} number {at * 11 % 17}, and it was worth it.\n"
        for at in range(lines)
    )


@dataclass
class Caches:
    """Makes caches and asks about them."""

    model: ReplayModel
    folder: Path
    _dialogues: dict[str, StoredKv] = field(default_factory=dict[str, StoredKv])

    def tokens(self, text: str) -> list[int]:
        return self.model.tokenizer(text, add_special_tokens=False)["input_ids"]

    def store(self, name: str, kv: CompressedKv, precision: Precision = "float32") -> StoredKv:
        file = save_kv(self.folder, name, kv, precision, model=self.model.fingerprint)
        return StoredKv(name, file.path, file.checksum, kv.length)

    def full(self, name: str, tokens: Sequence[int]) -> StoredKv:
        return self.store(name, compress(self.model, tokens, (), len(tokens), STREAMING))

    def dialogue(self, about: str) -> StoredKv:
        """Uncompressed; 200 tokens, whatever it is about."""
        if about not in self._dialogues:
            tokens = self.tokens(dialogue(about, 8))[:200]
            self._dialogues[about] = self.full(about.replace(" ", "-"), tokens)
        return self._dialogues[about]

    def request(
        self, cache: StoredKv | None, text: str, *before: int, max_tokens: int = ANSWER
    ) -> ReplayRequest:
        return ReplayRequest((*before, *self.tokens(text)), cache, max_tokens)

    def expected(self, *requests: ReplayRequest) -> list[tuple[int, ...]]:
        """The tokens that transformers answers."""
        return [answer.tokens for answer in TransformersEngine(self.model).answer(requests)]
