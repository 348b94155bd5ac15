from datetime import datetime
from typing import Any

import pytest

from operators.recall.profile import ProfileIndex
from tests.operators.samples import at


def persona(person: str, attribute: str, value: str, **more: Any) -> dict[str, Any]:
    row = {
        "tenant": "default",
        "conversation_id": "c",
        "persona_id": f"persona_{person}_{attribute}_{value}",
        "person": person,
        "kind": "attribute",
        "attribute": attribute,
        "value": value,
        "evidence": ["f1"],
        "confidence": 0.9,
        "status": "current",
        "valid_from": at(0),
        "valid_to": None,
    }
    return row | more


ROWS = [
    persona("Ann", "home_city", "Bergen"),
    persona("Ann", "home_city", "Turin", status="former", valid_to=at(5)),
    persona("Ann", "employer", "Nordlys"),
    persona("Ann", "pet", "Pip (cat)"),
    persona("Ann", "pet", "Tam (dog)", confidence=0.7),
    persona("Ann", "favourite_soup", "leek"),
    persona("Ann", "birthday", "--03-09"),
    persona("Will Moss", "home_city", "Ghent"),
    persona("user", "car", "a red van"),
]


def values(question: str, most: int = 3, as_of: datetime | None = None) -> list[str]:
    index = ProfileIndex(ROWS, frozenset({"user"}), as_of)
    return [hit.row["value"] for hit in index.look_up(question, most)]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Where does Ann live?", ["Bergen"]),
        ("Which city is Ann's home now?", ["Bergen"]),
        ("Where did Ann live before?", ["Turin"]),
        ("Who does Ann work for?", ["Nordlys"]),
        ("What pets does Ann have?", ["Pip (cat)", "Tam (dog)"]),
        ("What is Ann's favourite soup?", ["leek"]),
        ("When is Ann's birthday?", ["--03-09"]),
        ("Where does Moss live?", ["Ghent"]),
        ("What car do I drive?", ["a red van"]),
        # For something else, of nobody, or of two people.
        ("What did Ann cook on Sunday?", []),
        ("When did Ann move to Bergen?", []),
        ("Where will they live?", []),
        ("Do Ann and Moss live in one city?", []),
        ("What car does Ann drive?", []),
        ("", []),
    ],
)
def test_what_is_asked_for(question: str, expected: list[str]) -> None:
    assert values(question) == expected


def test_score_is_confidence_times_share() -> None:
    index = ProfileIndex(ROWS)
    (sure,) = index.look_up("Where does Ann live?")
    (less,) = index.look_up("Where does Ann live with seven goats?")
    assert (sure.score, less.score) == (0.9, 0.3)


def test_as_of_what_held_then() -> None:
    assert values("Where does Ann live?", 1, at(3)) == ["Bergen"]
    ended = [persona("Ann", "home_city", "Turin", status="former", valid_to=at(5))]
    look_up = [ProfileIndex(ended, as_of=moment).look_up("Where does Ann live?") for moment in
               (at(3), at(6))]  # fmt: skip
    assert [len(hits) for hits in look_up] == [1, 0]


def test_order_of_rows_does_not_matter() -> None:
    question = "What pets does Ann have?"
    forward = ProfileIndex(ROWS).look_up(question, 3)
    assert ProfileIndex(ROWS[::-1]).look_up(question, 3) == forward
    assert len(ProfileIndex(ROWS).look_up(question)) == 1
