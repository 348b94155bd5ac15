"""Units and windows."""
# ruff: noqa: E501 - tables

from operators.extract.sentences import MAX_UNIT_CHARS, split_units
from operators.extract.windows import merge_units


def units(text: str) -> list[tuple[str, str]]:
    return [(u.kind, text[u.start : u.end]) for u in split_units(text)]


def test_sentences() -> None:
    assert units("I met Dr. Smith at 5 p.m. yesterday. It was fun!You know.") == [
        ("prose", "I met Dr. Smith at 5 p.m. yesterday."),
        ("prose", "It was fun!"),
        ("prose", "You know."),
    ]


def test_markdown() -> None:
    text = "# Plan\nIntro here.\n\n- one\n- two\n  more\n\n1. three\n```py\nx = 1\n\ny = 2\n```\n| a | b |\n|---|---|\n| 1 | 2 |\n---\nEnd."
    assert units(text) == [
        ("heading", "# Plan"),
        ("prose", "Intro here."),
        ("item", "- one"),
        ("item", "- two\n  more"),
        ("item", "1. three"),
        ("code", "```py\nx = 1\n\ny = 2\n```"),
        ("row", "| a | b |"),
        ("row", "| 1 | 2 |"),
        ("prose", "End."),
    ]


def test_brackets_stay_whole() -> None:
    assert units("Look. [image: a cat. a dog. and a very big bird] Nice one, is it not?")[1] == (
        "prose",
        "[image: a cat. a dog. and a very big bird]",
    )


def test_unclosed_code_runs_to_the_end() -> None:
    assert units("Text first here.\n```\nx") == [("prose", "Text first here."), ("code", "```\nx")]


def test_long_sentences_are_cut_at_pauses() -> None:
    text = "word, " * 400
    found = units(text)
    assert all(len(t) <= MAX_UNIT_CHARS for _, t in found)
    assert "".join(t.replace(" ", "") for _, t in found) == text.replace(" ", "")


def merged(text: str, limit: int) -> list[tuple[str, str]]:
    windows, _ = merge_units(text, split_units(text), limit, lambda piece: piece == "Ok.")
    return [(w.context, text[w.start : w.end]) for w in windows]


def test_windows_fill_up_to_the_limit() -> None:
    text = "First one is here. Second one is here. Third one is here."
    assert merged(text, 40) == [
        ("", "First one is here. Second one is here."),
        ("", "Third one is here."),
    ]


def test_windows_repeat_headings_and_lead_ins() -> None:
    text = "## Fruit\n- apples are red and round\n- pears are green and long\nBuy these:\n- milk of a local farm\n- bread of a local baker"
    assert merged(text, 40) == [
        ("", "## Fruit\n- apples are red and round"),
        ("Fruit", "- pears are green and long\nBuy these:"),
        ("Buy these", "- milk of a local farm"),
        ("Buy these", "- bread of a local baker"),
    ]


def test_filler_is_counted() -> None:
    windows, dropped = merge_units(
        "Ok. I went home.", split_units("Ok. I went home."), 300, lambda p: p == "Ok."
    )
    assert (len(windows), dropped) == (1, 1)
