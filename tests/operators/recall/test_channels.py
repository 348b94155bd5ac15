from datetime import UTC, datetime

import numpy as np
import pytest

from operators.recall.dense import WITHOUT_FACTS, DenseIndex
from operators.recall.neighbours import following, previous, session_best, session_mean
from operators.recall.shape import length_prior, newness, question_share
from operators.recall.speaker import SpeakerIndex
from operators.recall.time_channel import TimeIndex, asks_when, tells_when

SESSION = np.array([0, 0, 1])
VALUES = np.array([1.0, 2.0, 4.0])


def test_neighbours_stop_at_the_session() -> None:
    assert previous(VALUES, SESSION).tolist() == [0, 1, 0]
    assert following(VALUES, SESSION).tolist() == [2, 0, 0]
    assert session_mean(VALUES, SESSION).tolist() == [1.5, 1.5, 4]
    assert session_best(VALUES, SESSION).tolist() == [2, 2, 4]
    nothing = np.array([], np.int64)
    assert session_best(np.zeros(0), nothing).size == 0


def test_dense_gives_best_and_mean_fact() -> None:
    vectors = np.eye(3, dtype=np.float32)
    index = DenseIndex(vectors, np.array([0, 0, 2]), 3)
    best, mean = index.best_and_mean(index.cosines(np.array([1, 0, 0.5], np.float32)))
    assert best[0] > best[2]
    assert mean[0] == mean[2]
    assert best[1] == mean[1] == WITHOUT_FACTS


def test_dense_without_any_fact() -> None:
    index = DenseIndex(np.zeros((0, 0), np.float32), np.array([], np.int64), 2)
    best, mean = index.best_and_mean(np.zeros(0))
    assert best.tolist() == mean.tolist() == [0, 0]


def test_speakers() -> None:
    people = SpeakerIndex(["Ada", "Tom Reed"], [None, None])
    assert people.named(["what", "did", "tom", "cook"]).tolist() == [0, 1]
    assert people.first_person(["what", "did", "i", "cook"]).tolist() == [0, 0]
    chat = SpeakerIndex(["user", "assistant"], ["user", "assistant"])
    assert chat.first_person(["what", "did", "i", "cook"]).tolist() == [1, 0]
    assert chat.first_person(["what", "was", "cooked"]).tolist() == [0, 0]
    assert chat.named(["which", "assistant"]).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("When did Ada sail?", True),
        ("How long did it take?", True),
        ("Which day was the fair?", True),
        ("What did Ada like when young?", False),
    ],
)
def test_asks_when(question: str, expected: bool) -> None:
    assert asks_when(question) is expected


def test_tells_when() -> None:
    assert tells_when("We sailed yesterday.")
    assert not tells_when("We like sailing.")


def test_named_dates_meet_when_said_and_when_it_occurred() -> None:
    def day(month: int, number: int) -> datetime:
        return datetime(2024, month, number, 12, tzinfo=UTC)

    messages = [{"timestamp": day(5, 3)}, {"timestamp": day(8, 1)}, {"timestamp": day(9, 1)}]
    dated: dict[str, datetime | None] = {"occurred_start": day(5, 1), "occurred_end": day(5, 2)}
    facts = [dated, {"occurred_start": None, "occurred_end": None}]
    index = TimeIndex(["a", "b", "c"], messages, facts, np.array([1, 2]))
    asked = day(10, 1)
    assert index.overlaps("Where was Ada in May 2024?", asked).tolist() == [1, 1, 0]
    assert index.overlaps("Where was Ada on 1 May 2024?", asked).tolist() == [0, 1, 0]
    assert index.overlaps("Where was Ada in 2024?", asked).tolist() == [0, 0, 0]
    assert index.overlaps("Where was Ada?", None).tolist() == [0, 0, 0]


def test_shape() -> None:
    short, long = length_prior(["Hi!", "A long tale of the sea. " * 9])
    assert short < long
    assert question_share(["Really? Why? Yes.", "No end", ""]).tolist() == [2 / 3, 0, 0]


def test_newness_is_within_a_session_and_of_facts() -> None:
    vectors = np.eye(2, dtype=np.float32)[[0, 0, 1, 0]]
    session = np.array([0, 0, 0, 0, 1])  # the fourth message has no fact
    one, two = newness(vectors, np.array([0, 1, 2, 4]), session)
    assert one.tolist() == [1, 0, 1, 1, 1]
    assert two.tolist() == [1, 1, 1, 1, 1]
