"""Names in texts."""

import pytest

from operators.extract.entities import MAX_ENTITIES, find_entities, without_labels

KNOWN = frozenset({"Nora", "Sam"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I went to New York with Tom Hale and Dr. Smith.", ["New York", "Tom Hale", "Dr. Smith"]),
        ("Painting is fun.", []),
        ("Nora paints.", ["Nora"]),
        ("Marek owns billing.", ["Marek"]),
        ("I saw Melanie's kids with Sam.", ["Melanie", "Sam"]),
        ("The University of Oxford has it", ["University of Oxford"]),
        ("my iPhone 14 and NASA", ["iPhone 14", "NASA"]),
        ('We saw "The Red Door" twice', ["The Red Door"]),
        ("see https://www.example.org/x", ["example.org"]),
        ("mail anna@example.org now", ["example.org"]),
        ("I met Jean-Luc and J.K. Rowley", ["Jean-Luc", "J.K. Rowley"]),
        ("yesterday (7 May 2023) was a Sunday", []),
        ("I love Rome. Rome is old. I do love ROME", ["Rome"]),
        ("Love Nora's idea", ["Nora"]),
        ("Great. Proud of Nora!", ["Nora"]),
        ("nothing at all", []),
        ("", []),
    ],
)
def test_entities(text: str, expected: list[str]) -> None:
    assert find_entities(text, KNOWN) == expected


def test_at_most_so_many() -> None:
    text = ", ".join(f"we saw Aa{chr(97 + i)}b" for i in range(26))
    assert len(find_entities(text, KNOWN)) == MAX_ENTITIES


def test_labels_are_not_names() -> None:
    assert find_entities(
        without_labels("### Daily Plan\n- **Set Boundaries**: visit Oslo"), KNOWN
    ) == ["Oslo"]
