from typing import Any

import numpy as np

from operators.recall.browse import TreeBrowser

VECTORS = np.eye(4, dtype=np.float32)
ROW = {f"f{n}": n for n in range(4)}


def node(name: str, level: int, children: list[str], *, root: bool = False) -> dict[str, Any]:
    below = {"child_ids": [f"leaf-{c}" for c in children], "fact_ids": children}
    if level > 1:
        below = {"child_ids": children, "fact_ids": []}
    return {"tree_id": "t", "node_id": name, "level": level, "is_root": root, **below}


NODES = [
    node("root", 2, ["a", "b"], root=True),
    node("a", 1, ["f0", "f1"]),
    node("b", 1, ["f2", "gone"]),
]


def browser(nodes: list[dict[str, Any]]) -> TreeBrowser:
    return TreeBrowser(nodes, ROW.get, VECTORS, np.array([0, 0, 1, 2]), 3)


def test_reaches_messages_with_the_cosine_of_their_node() -> None:
    reached = browser(NODES).reached(VECTORS[2])
    assert reached.tolist() == [0, 1, 0]
    nearer = browser(NODES).reached(VECTORS[0])
    assert np.round(nearer, 2).tolist() == [0.71, 0, 0]


def test_beam_leaves_far_branches_closed(monkeypatch: Any) -> None:
    monkeypatch.setattr("operators.recall.browse.BEAM", 1)
    both = (VECTORS[2] + 0.1 * VECTORS[0]) / np.float32(1.005)
    assert browser(NODES).reached(both)[0] == 0


def test_order_of_rows_and_missing_trees() -> None:
    query = (VECTORS[0] + VECTORS[2]) / np.sqrt(np.float32(2))
    assert np.array_equal(browser(NODES).reached(query), browser(NODES[::-1]).reached(query))
    assert browser([]).reached(query).tolist() == [0, 0, 0]
