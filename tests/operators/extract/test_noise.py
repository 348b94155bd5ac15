"""Filler goes, content stays."""
# ruff: noqa: E501 - tables

import pytest

from operators.extract.noise import is_noise

NAMES = frozenset({"nora", "melanie"})


@pytest.mark.parametrize(
    "text",
    [
        "haha", "ok!", "Thanks", "Good morning!", "Hey Nora!", "Thanks, Mel!", "Hi there", "Wow, that's great!", "😂😂",
        "...", "How are you?", "Hey! How's it going?", "Talk to you soon!", "Take care!", "Good to see you!", "Yes.",
        "Thank you so much!", "That's awesome, Nora!", "Sounds good", "What's up?", "Bye!", "No problem", "See you later",
        "I totally agree", "Good luck!",
    ],
)  # fmt: skip
def test_filler(text: str) -> None:
    assert is_noise(text, NAMES)


@pytest.mark.parametrize(
    "text",
    [
        "Berlin.", "42", "Yes, in Paris.", "I love it", "Good dog", "Thanks for the book", "We won!", "My birthday!",
        "Happy birthday!", "Nice weather in Oslo", "Pizza", "I quit", "Congrats on the new job!", "No sugar", "Добрый вечер, Москва",
    ],
)  # fmt: skip
def test_content(text: str) -> None:
    assert not is_noise(text, NAMES)


def test_min_words() -> None:
    assert is_noise("Berlin", NAMES, min_words=2)
    assert not is_noise("In Berlin", NAMES, min_words=2)
