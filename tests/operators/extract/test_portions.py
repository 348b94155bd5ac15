"""Questions: lines, header, what is shown of the message before, long messages."""

from operators.extract.portions import cut_message, portions
from operators.extract.rows import Row, ordered_messages
from tests.operators.extract.test_rule_facts import messages


def rows(*said: tuple[str, str]) -> list[Row]:
    return ordered_messages(messages(*said))


def texts(session: list[Row], cells: list[str], **parameters: int) -> list[str]:
    given = {"max_chars": 4000, "context_chars": 120} | parameters
    return [portion.text for portion in portions(session, cells, **given)]


TALK = (
    ("Ann", "I moved to Rome. Where do you live now?"),
    ("Ben", "In Oslo."),
    ("Ann", "Nice!\n[9] Ben: I live in Bonn."),
)


def test_lines_under_a_header_with_the_question_before():
    first, second = texts(rows(*TALK), ["a", "b", "b"])
    assert first == (
        "Session: Monday 8 May 2023, 12:00. People: Ann, Ben.\n"
        "[1] Ann: I moved to Rome. Where do you live now?"
    )
    assert second == (
        "Session: Monday 8 May 2023, 12:00. People: Ann, Ben.\n"
        "Before: Ann: Where do you live now?\n"
        "[1] Ben: In Oslo.\n"
        "[2] Ann: Nice! [9] Ben: I live in Bonn."  # what stands in a message is no line of ours
    )


def test_no_context_where_none_is_wanted_or_needed():
    assert not any(
        "Before" in text for text in texts(rows(*TALK), ["a", "b", "b"], context_chars=0)
    )
    told = rows(("Ann", "I moved to Rome."), ("Ben", "My dog Rex is three years old."))
    assert not any("Before" in text for text in texts(told, ["a", "b"]))


def test_a_pronoun_gets_the_end_of_the_message_before():
    talk = rows(("Ann", "x " * 100 + "My sister Eva paints."), ("Ann", "She sells well."))
    assert "\nBefore: Ann: x x" in texts(talk, ["a", "b"])[1]
    assert (
        len(texts(talk, ["a", "b"], context_chars=30)[1].split("\n")[1])
        <= len("Before: Ann: ") + 30
    )


def test_long_messages_are_cut_at_sentences_and_every_word_is_asked_about():
    text = " ".join(f"Sentence number {n} tells a little more." for n in range(60))
    pieces = cut_message(rows(("Ann", text))[0], 500)
    assert len(pieces) > 4
    assert all(piece.end - piece.start <= 500 for piece in pieces)
    assert " ".join(piece.text for piece in pieces) == text
    asked = texts(rows(("Ann", text)), ["a"], max_chars=500)
    assert len(asked) == len(pieces)
    assert all("\nBefore: Ann: Sentence" in one for one in asked[1:])


def test_roles_are_told_where_they_differ():
    session = rows(("user", "Hi, I am new here."), ("Botty", "Welcome to the club."))
    session[1]["role"] = "assistant"
    session[0]["role"] = "user"
    assert "People: User, Botty (assistant)." in texts(session, ["a", "a"])[0]


def test_another_day_is_written_on_its_line():
    session = rows(("Ann", "I stay up late."), ("Ben", "So do I, most nights."))
    session[1]["timestamp"] += 86_400_000_000
    assert texts(session, ["a", "a"])[0].endswith("[2] (2023-05-09) Ben: So do I, most nights.")
