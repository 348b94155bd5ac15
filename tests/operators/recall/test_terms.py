import pytest

from operators.recall.terms import stem, terms, words


@pytest.mark.parametrize(
    "forms",
    [
        ("painting", "painted", "paints", "paint"),
        ("running", "runs", "run"),
        ("studies", "studied", "study"),
        ("moved", "moving", "moves", "move"),
        ("classes", "class"),
    ],
)
def test_forms_of_a_word_meet(forms: tuple[str, ...]) -> None:
    assert len({stem(f) for f in forms}) == 1


@pytest.mark.parametrize("word", ["bus", "this", "sing", "bed", "97", "日本語"])
def test_short_and_foreign_words_stay(word: str) -> None:
    assert stem(word) == word


def test_function_words_and_possessives_go() -> None:
    assert terms("Where did Ada's sister go, and why?") == ["ada", "sister", "go"]
    assert words("Don\u2019t STOP") == ["don", "stop"]
