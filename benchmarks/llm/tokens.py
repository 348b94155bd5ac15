"""Tokens of prompts and answers, and how many of them a prefix cache would hold.

Counted with the tokenizer of the packaged embedder (WordPiece, all-MiniLM-L6-v2): within
some percent of a language model's on prose, and up to half more on JSON, because each
bracket and quote is a token. Compare counts of this simulator with each other only.
"""

import hashlib
from array import array
from collections.abc import Sequence
from functools import lru_cache

from operators.embedding.tokens import MiniLmTokens

BLOCK = 16
"""Tokens of a block of the prefix cache, as in vLLM."""

_ROLES = {"system": 1, "user": 2, "assistant": 3, "tool": 4, "developer": 1}
_REMEMBERED = 4096
_ENDLESS = 1 << 30  # Never cut a text into windows.


class TokenCounter:
    """Token ids of prompts, and counts of answers. Texts seen before cost nothing."""

    def __init__(self) -> None:
        self._tokenizer = MiniLmTokens(_ENDLESS)
        self.ids = lru_cache(_REMEMBERED)(self._ids)

    def prompt(self, turns: Sequence[tuple[str, str]]) -> list[int]:
        """Ids of all turns; each begins with one token for its role."""
        tokens: list[int] = []
        for role, text in turns:
            tokens.append(_ROLES.get(role, 5))
            tokens.extend(self.ids(text))
        return tokens

    def count(self, text: str) -> int:
        """Tokens of an answer."""
        return self._tokenizer.counts([text])[0] - 2  # Without [CLS] and [SEP].

    def _ids(self, text: str) -> list[int]:
        return self._tokenizer.windows(text)[0][1:-1]


class PrefixCache:
    """Whole blocks of all prompts ever seen, as an engine with endless memory would keep."""

    def __init__(self) -> None:
        self._blocks: set[bytes] = set()

    def add(self, tokens: list[int]) -> int:
        """Notes a prompt. Returns how many of its first tokens were there already.

        As in vLLM, the last token is always computed, so it is never found.
        """
        written = memoryview(array("i", tokens)).cast("B")
        size = BLOCK * array("i").itemsize
        running = hashlib.blake2b(digest_size=16)
        found = 0
        hit = True
        for at in range(0, len(written) - size + 1, size):
            running.update(written[at : at + size])
            block = running.digest()
            hit = hit and block in self._blocks and at + size < len(written)
            found += BLOCK * hit
            self._blocks.add(block)
        return found
