import numpy as np
import pytest

from operators.recall.granularity import SessionUnits, routed

VECTORS = np.eye(4, dtype=np.float32)


def test_units_of_a_session() -> None:
    session = np.array([0, 0, 1])
    episodes = [(0, np.array([1]), ["red boats"]), (1, np.array([2]), [])]
    units = SessionUnits(VECTORS[:3], np.array([0, 1, 2]), session, episodes)
    scores = units.scores(VECTORS[1], ["boat", "mast"])
    assert scores["session"] == pytest.approx([np.sqrt(0.5), 0], abs=1e-3)
    assert scores["summary"].tolist() == [1, 0]
    assert scores["keywords"].tolist() == [0.5, 0]


def test_without_episodes() -> None:
    units = SessionUnits(VECTORS[:1], np.array([0]), np.array([0]), [])
    scores = units.scores(VECTORS[0], [])
    assert (scores["session"], scores["summary"], scores["keywords"]) == ([1], [0], [0])


def test_router_trusts_what_is_sure() -> None:
    weights = routed({"sure": np.array([0.9, 0, 0, 0]), "even": np.full(4, 0.5)})
    assert weights["sure"] == pytest.approx(1)
    assert weights["even"] == pytest.approx(0)


def test_router_with_nothing_to_go_by() -> None:
    assert routed({"a": np.ones(3), "b": np.ones(1)}) == {"a": 0.5, "b": 0.5}
    assert routed({}) == {}
