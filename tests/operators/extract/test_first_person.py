"""Names for pronouns."""

import pytest

from operators.extract.first_person import Voice, rewrite, third_person
from operators.extract.pronouns import resolve_opening

VOICE = Voice("Nora", "Sam")

CASES = [
    ("I am tired", "Nora is tired"),
    ("I'm tired", "Nora is tired"),
    ("I’m tired", "Nora is tired"),
    ("i'm tired", "Nora is tired"),
    ("I was tired", "Nora was tired"),
    ("I've been there", "Nora has been there"),
    ("I have a dog", "Nora has a dog"),
    ("I'll go", "Nora will go"),
    ("I'd go", "Nora would go"),
    ("I'd been there", "Nora had been there"),
    ("I don't know", "Nora doesn't know"),
    ("I haven't been", "Nora hasn't been"),
    ("I didn't go", "Nora didn't go"),
    ("I can't go", "Nora can't go"),
    ("I love hiking", "Nora loves hiking"),
    ("I really love hiking", "Nora really loves hiking"),
    ("I try and I watch", "Nora tries and Nora watches"),
    ("I just moved", "Nora just moved"),
    ("I put it there", "Nora put it there"),
    ("Do I need it?", "Does Nora need it?"),
    ("What should I do?", "What should Nora do?"),
    ("Am I late?", "Is Nora late?"),
    ("my dog and my cat", "Nora's dog and Nora's cat"),
    ("It is mine", "It is Nora's"),
    ("He told me", "He told Nora"),
    ("I made it myself", "Nora made it themself"),
    ("My mom and I love it", "Nora's mom and Nora love it"),
    ("I like tea but am full", "Nora likes tea but is full"),
    ('He said "I am here" to me', 'He said "I am here" to Nora'),
    ("You're great", "Sam is great"),
    ("you have a cat", "Sam has a cat"),
    ("Have you been?", "Has Sam been?"),
    ("Do you like it?", "Does Sam like it?"),
    ("How're you doing?", "How is Sam doing?"),
    ("your house", "Sam's house"),
    ("I told you that", "Nora told Sam that"),
    ("Thank you!", "Thank you!"),
    ("We love our house", "We love our house"),
    ("You guys rock", "You guys rock"),
    ("me-time in World War I and I/O", "me-time in World War I and I/O"),
    ("Trust me", "Trust me"),
    ("nothing here", "nothing here"),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_rewrite(text: str, expected: str) -> None:
    assert rewrite(text, VOICE) == expected


def test_you_stays_where_the_addressee_is_unknown() -> None:
    assert rewrite("I saw you", Voice("Nora")) == "Nora saw you"


@pytest.mark.parametrize(
    ("verb", "expected"), [("go", "goes"), ("try", "tries"), ("play", "plays"), ("have", "has")]
)
def test_third_person(verb: str, expected: str) -> None:
    assert third_person(verb) == expected


def test_opening_pronoun_takes_the_one_name_before() -> None:
    assert resolve_opening("She's fine", "I met Anna there.") == "Anna's fine"
    assert resolve_opening("His dog barks", "I saw my brother Tom.") == "Tom's dog barks"
    assert resolve_opening("She is fine", "I met Anna and saw Eva.") == "She is fine"
    assert resolve_opening("She is fine", "It rained.") == "She is fine"
