"""Tree channel: what a top-down browse of the MemTrees reaches."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from operators.base import Vectors
from operators.recall.bm25 import Floats, Ints

BEAM = 10
"""Nodes kept on each level (MemForest browses with as many)."""


class TreeBrowser:
    """Top-down beam search over the trees of a conversation (MemForest, arXiv 2605.23986).

    A node stands for its leaves by the mean of their vectors, so that no summary needs a
    model. From the roots of all trees down, the nearest `BEAM` nodes of a level are opened;
    level 1 leads to facts, and a fact's message gets the cosine of the node it hangs from.

    Args:
        nodes: rows of `memtree_nodes`, in any order.
        fact_row: row of a fact id among the vectors, or None where it has no vector.
        vectors: vectors of the facts, without what they share.
        message: number of the message of each vector.
        messages: number of messages.
    """

    def __init__(
        self,
        nodes: Iterable[Mapping[str, Any]],
        fact_row: Callable[[str], int | None],
        vectors: Vectors,
        message: Ints,
        messages: int,
    ):
        rows = sorted(nodes, key=lambda n: (n["level"], n["tree_id"], n["node_id"]))
        place = {(n["tree_id"], n["node_id"]): i for i, n in enumerate(rows)}
        self._message, self._messages = message, messages
        self._children: list[list[int]] = []
        self._facts: list[Ints] = []
        sums = np.zeros((len(rows), vectors.shape[1]), np.float32)
        for number, node in enumerate(rows):  # leaves' parents come first: sums are ready
            facts = [fact_row(f) for f in node["fact_ids"]]
            self._facts.append(np.array([f for f in facts if f is not None], np.int64))
            below = [] if node["level"] == 1 else node["child_ids"]
            children = [place.get((node["tree_id"], child)) for child in below]
            self._children.append([c for c in children if c is not None])
            sums[number] = vectors[self._facts[-1]].sum(axis=0)
            sums[number] += sums[self._children[-1]].sum(axis=0)
        length = np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-6)
        self._vectors: Vectors = (sums / length).astype(np.float32)
        self._roots = [i for i, n in enumerate(rows) if n["is_root"]]

    def reached(self, rest: Vectors) -> Floats:
        """Cosine of the best node that leads to a message; 0 where the browse does not come."""
        out = np.zeros(self._messages)
        level = self._roots
        cosines = np.round(self._vectors @ rest, 4) if self._roots else np.zeros(0)
        while level:
            best = sorted(level, key=lambda n: (-cosines[n], n))[:BEAM]
            for node in best:
                near = max(float(cosines[node]), 0.0)
                np.maximum.at(out, self._message[self._facts[node]], near)
            level = sorted({child for node in best for child in self._children[node]})
        return out
