from typing import Any

import numpy as np

from operators.recall.persona import PersonaIndex


def row(person: str, kind: str, attribute: str, value: str, confidence: float) -> dict[str, Any]:
    return {
        "person": person,
        "kind": kind,
        "attribute": attribute,
        "value": value,
        "confidence": confidence,
    }


ROWS = [
    row("Ada", "attribute", "home_city", "Porto", 0.8),
    row("Ada", "preference", "likes", "sailing", 0.5),
    row("User", "relation", "sister", "Ida", 0.6),
]
EVIDENCE = [np.array([0, 1]), np.array([1]), np.array([2])]


def scores(question: str, *, first_person: bool = False) -> list[float]:
    index = PersonaIndex(ROWS, EVIDENCE, 3, frozenset({"user"}))
    return index.scores(question.split(), first_person).tolist()


def test_evidence_of_what_is_asked_of_the_person() -> None:
    assert scores("which city is ada in") == [0.8, 0.8, 0]
    assert scores("what does ada like") == [0, 0.5, 0]
    assert scores("which city is tom in") == [0, 0, 0]


def test_share_of_the_question_and_the_user() -> None:
    assert scores("where does my sister work", first_person=True) == [0, 0, 0.3]
    assert scores("where does the sister work") == [0, 0, 0]


def test_evidence_may_be_gone() -> None:
    index = PersonaIndex(ROWS[:1], [np.array([], np.int64)], 2, frozenset())
    assert index.scores(["ada", "city"], False).tolist() == [0, 0]
