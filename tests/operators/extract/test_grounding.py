"""What a source supports is let through, what it does not hold is named."""

from datetime import date

import pytest

from operators.extract.evidence import Evidence
from operators.extract.grounding import claims, unsupported
from operators.extract.numerals import find_numbers, numbers_said

MONDAY = date(2023, 5, 8)
HEADER = Evidence("Session: Monday 8 May 2023, 13:56. People: Caroline, Melanie.", MONDAY)


def missing(text: str, said: str, day: date = MONDAY) -> list[str]:
    people = frozenset(["Caroline", "Melanie"])
    return unsupported(claims(text, day, people), [Evidence(said, day), HEADER], [])[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Caroline went to a group on 7 May 2023.", "I went to a group yesterday"),
        ("Caroline hiked on Saturday 6 May 2023.", "We hiked on Saturday"),
        ("Caroline hiked on 6 May 2023.", "We hiked last weekend"),
        ("Caroline hiked in the week of 1 May 2023.", "We hiked last week"),
        ("Caroline will move in June 2023.", "I'm moving next month"),
        ("Caroline moved in April 2023.", "I moved in April"),
        ("Caroline moved in 2020.", "I moved 3 years ago"),
        ("Caroline has lived there since 2020.", "I've lived there for three years"),
        ("Caroline has three kids.", "my 3 kids"),
        ("Caroline paid $1,200.", "it cost 1200 dollars"),
        ("Caroline ran 25 miles.", "I ran twenty-five miles"),
        ("Caroline has two dogs.", "both dogs are mine"),
        ("Caroline was born in the 90s.", "born in the 1990s"),
        ("Caroline met Nora's sister at the Louvre.", "met nora’s sister in the LOUVRE"),
        ("Caroline likes Swedish food.", "food from Sweden is great"),
        ("Caroline likes Café Bleu.", "love that cafe, Bleu"),
        ("Caroline plays on Mondays.", "I play every monday"),
        ("Melanie is reading now, on 8 May 2023.", "I'm reading"),
    ],
)
def test_what_the_source_supports(text, said):
    assert missing(text, said) == []


@pytest.mark.parametrize(
    ("text", "said", "lacks"),
    [
        ("Caroline met Nora.", "I met a friend", ["Nora"]),
        ("Caroline met Marion.", "I met Marie", ["Marion"]),
        ("Caroline has four kids.", "my 3 kids", ["four"]),
        ("Caroline paid $300.", "it cost 200 dollars", ["300"]),
        ("Caroline went there on 3 May 2023.", "I went there yesterday", ["3 May 2023"]),
        ("Caroline moved in 2019.", "I moved 3 years ago", ["in 2019"]),
        ("Caroline moved on 12 April 2023.", "I moved in April", ["12 April 2023"]),
        ("Caroline has lived there since 2010.", "I've lived there for years", ["since 2010"]),
        ("Caroline went to Paris with Zoe.", "I went to Paris", ["Zoe"]),
    ],
)
def test_what_it_does_not_hold(text, said, lacks):
    assert missing(text, said) == lacks


def test_support_elsewhere_is_named():
    near = [Evidence("It was raining", MONDAY), Evidence("My sister is Eva", MONDAY)]
    found = claims("Caroline's sister Eva paints.", MONDAY, frozenset())
    assert unsupported(found, [HEADER], near) == ([], [1])


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("two hundred and five", ["205"]),
        ("twenty-five", ["25"]),
        ("three thousand two hundred", ["3200"]),
        ("5k and 1,000.50", ["5000", "1000.5"]),
        ("a dozen, the third", ["12", "3"]),
        ("one of us, 1 of 0", []),
        ("two three", ["2", "3"]),
    ],
)
def test_numbers(text, values):
    assert [number.value for number in find_numbers(text)] == values


def test_numbers_said_holds_parts_and_hints():
    assert {"7", "30", "2", "98", "1998"} <= numbers_said("at 7:30, both of 1998")
