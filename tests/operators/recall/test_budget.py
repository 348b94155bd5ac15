from collections.abc import Sequence
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from operators.recall.budget import tokens_of, within_budget
from operators.recall.searcher import Result, Turn
from tests.effort import examples

NOW = datetime(2024, 1, 1, tzinfo=UTC)


def count_words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def result(rank: int, words: int, context: Sequence[int] | None = None) -> Result:
    turns = None if context is None else tuple(Turn("m", "Ann", NOW, "w " * n) for n in context)
    text = "word " * words
    return Result(rank, 1.0, "fact", f"f{rank}", text, NOW, [f"m{rank}"], "c", context=turns)


def test_context_counts_too() -> None:
    assert tokens_of(result(1, 3, [2, 5]), count_words) == 10
    assert tokens_of(result(1, 3), count_words) == 3


def test_the_first_result_always_stays() -> None:
    assert within_budget([result(1, 9), result(2, 1)], 5, count_words) == [result(1, 9)]
    assert within_budget([], 5, count_words) == []


@examples(100)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.none() | st.lists(st.integers(0, 9)))),
    st.integers(1, 120),
)
def test_a_head_within_the_budget_and_no_shorter(
    sizes: list[tuple[int, list[int] | None]], most: int
) -> None:
    results = [result(rank, *size) for rank, size in enumerate(sizes, 1)]
    kept = within_budget(results, most, count_words)
    assert kept == results[: len(kept)]
    spent = sum(tokens_of(r, count_words) for r in kept)
    assert spent <= most or len(kept) == 1
    if len(kept) < len(results):
        assert kept
        assert spent + tokens_of(results[len(kept)], count_words) > most
