"""Token budget: as many of the best results as a reader can take in."""

from collections.abc import Callable, Sequence

from operators.recall.searcher import Result

CountTokens = Callable[[Sequence[str]], Sequence[int]]
"""Tokens of each text, e.g. `MiniLmTokens().counts`."""


def within_budget(
    results: Sequence[Result], max_tokens: int, count_tokens: CountTokens
) -> list[Result]:
    """The longest head of `results` of at most `max_tokens`; the first one always stays.

    A result costs the tokens of its text and of its context. The list is cut, not picked
    over: no result is in it that was less good than one left out.
    """
    kept: list[Result] = []
    left = max_tokens
    for result in results:
        left -= tokens_of(result, count_tokens)
        if kept and left < 0:
            break
        kept.append(result)
    return kept


def tokens_of(result: Result, count_tokens: CountTokens) -> int:
    """Tokens of a result's text and context."""
    return sum(count_tokens([result.text, *(turn.text for turn in result.context or ())]))
