import math

from operators.recall.metrics import all_at, ndcg_at, recall_at

RANKED = ["a", "b", "c", "d"]


def test_recall() -> None:
    assert recall_at(RANKED, ["a", "d", "x"], 3) == 1 / 3


def test_all_evidence() -> None:
    assert all_at(RANKED, ["a", "c"], 3) == 1
    assert all_at(RANKED, ["a", "d"], 3) == 0


def test_ndcg() -> None:
    assert ndcg_at(RANKED, ["a"], 3) == 1
    assert math.isclose(ndcg_at(RANKED, ["b"], 3), 1 / math.log2(3))
    assert ndcg_at(RANKED, ["x"], 3) == 0
