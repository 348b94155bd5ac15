from typing import Any

import numpy as np
import pytest

from operators.recall.entity import EntityMentions
from operators.recall.terms import words

SESSION = np.array([0, 0, 1, 1])


def entity(entity_id: str, *names: str, kind: str = "name") -> dict[str, Any]:
    return {"entity_id": entity_id, "name": names[0], "kind": kind, "aliases": list(names)}


ENTITIES = [
    entity("canyon", "Copper Canyon", "the Canyon"),
    entity("choir", "Choir"),
    entity("ann", "Ann", kind="person"),
    entity("pronoun", "It"),
    entity("gone", "Lost City"),
]
MENTIONS = [("canyon", 0), ("choir", 0), ("choir", 1), ("choir", 3), ("ann", 2), ("pronoun", 2)]
INDEX = EntityMentions(ENTITIES, MENTIONS, SESSION)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("How deep is Copper Canyon?", ["canyon"]),
        ("how deep is copper canyon", ["canyon"]),
        ("Copper Canyon\u2019s guide?", ["canyon"]),
        ("Who saw the canyon with the choir?", ["canyon", "choir"]),
        ("Where is copper mined?", []),
        ("Is a choirmaster needed?", []),
        ("Did Ann like it?", []),
        ("Where is the Lost City?", []),
        ("", []),
    ],
)
def test_entities_that_a_question_names(question: str, expected: list[str]) -> None:
    assert INDEX.named(words(question)) == expected


def test_a_rare_entity_counts_more_than_a_frequent_one() -> None:
    message, session = INDEX.scores(["canyon", "choir"])
    assert message[0] > message[1] == message[3] > message[2] == 0
    assert INDEX.scores(["canyon"])[0][0] > message[1]
    assert session[0] == session[1] > session[2] == session[3] > 0


def test_a_second_mention_in_a_message_changes_nothing() -> None:
    twice = EntityMentions(ENTITIES, [*MENTIONS, ("canyon", 0)], SESSION)
    assert (twice.scores(["canyon"])[0] == INDEX.scores(["canyon"])[0]).all()


def test_an_id_shared_by_conversations_has_the_names_of_both() -> None:
    both = EntityMentions([*ENTITIES, entity("choir", "The Larks")], MENTIONS, SESSION)
    assert both.named(["the", "larks"]) == ["choir"]


def test_no_entities() -> None:
    none = EntityMentions([], [], SESSION)
    assert none.named(["copper", "canyon"]) == []
    assert [s.tolist() for s in none.scores([])] == [[0.0] * 4] * 2
    empty = EntityMentions([], [], np.array([], np.int64))
    assert [s.size for s in empty.scores([])] == [0, 0]
