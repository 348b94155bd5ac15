"""A history of any length, as tokens, for measurements of time."""

from itertools import cycle, islice
from typing import Any

from benchmarks.replay.histories import log_messages

_LOGS = ("assistant", "friends", "team")


class LongHistory:
    """The sample logs one after another, again and again."""

    def __init__(self, tokenizer: Any) -> None:
        text = "".join(message.line for log in _LOGS for message in log_messages(log))
        self._tokens: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]

    def tokens(self, count: int, start: int = 0) -> tuple[int, ...]:
        """`count` tokens from the `start`-th on: other starts share no beginning."""
        begin = start % len(self._tokens)
        return tuple(islice(cycle(self._tokens), begin, begin + count))
