"""Which sentences may tell something of a person."""

import pytest

from operators.personas.telling import telling

TELLING = [
    ("Ann: What a week! Ann works at Acme.", "Ann works at Acme."),
    ("Ann: We go camping every summer!", "Ann: We go camping every summer!"),
    ("Ann can't have dairy, so no cream.", "Ann can't have dairy, so no cream."),
    ("Ann's brother Max plays chess. Nice, eh?", "Ann's brother Max plays chess."),
    ("Ann is a big fan of pottery. [image: a bowl]", "Ann is a big fan of pottery."),
]
NOT = [
    "",
    "Ann: Does Ben love jazz?",
    "Ann: Wow, love that photo!",
    "Ann: That would be great, let's hope so.",
    "Ann: Thanks! Have a nice day.",
    "Ann would love a coffee if there is some.",
    "[image: a photo of Ann's dog]",
]


@pytest.mark.parametrize(("text", "expected"), TELLING)
def test_what_may_tell_something_is_kept(text: str, expected: str):
    assert telling(text, "Ann")[0] == expected


@pytest.mark.parametrize("text", NOT)
def test_the_rest_is_not(text: str):
    assert telling(text, "Ann") == ("", 0)
