"""The tree itself: which leaves stand together, as a function of the set of leaves.

Content-defined cuts, as in prolly trees and content-defined chunking: whether a node ends
after a child depends on a hash of that child's last leaf key. Where MemForest
(arXiv 2605.23986) inserts and splits, so that the tree remembers the order of arrival, the
same leaves here give the same tree, and an edit changes the nodes around it and above it.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from schemas.ids import content_hash, content_id

CUT_MODULUS = 6
MIN_CHILDREN = 2
MAX_CHILDREN = 16


class Leaf(NamedTuple):
    """A fact in a tree; leaves sort by (time, key), which never changes."""

    time: int
    key: str
    id: str

    @classmethod
    def of(cls, time: int, key: str, text: str, start: int | None, end: int | None) -> "Leaf":
        """A leaf whose id is the hash of the fact's key, content and validity."""
        return cls(time, key, content_hash(key, text, start, end))


class Node(NamedTuple):
    """An inner node. Children are `children[0] <= i < children[1]` of the level below.

    `leaves` is the same for the leaves. `is_closed` is false while a later leaf could still
    become part of the node: on the right edge.
    """

    id: str
    level: int
    children: tuple[int, int]
    leaves: tuple[int, int]
    is_closed: bool


@dataclass(frozen=True)
class MemTree:
    """A canonical tree over leaves; `build` makes it.

    At level l, a node is closed after child c when it has at least two children and
    H(l, last leaf key of c) mod 6 = 0, or when it has sixteen. Levels are built until one
    node is left: the root. One leaf gives a root of level 1.

    Attributes:
        leaves: in order of (time, key).
        levels: `levels[l - 1]` are the nodes of level l, in time order.
    """

    leaves: tuple[Leaf, ...]
    levels: tuple[tuple[Node, ...], ...]

    @classmethod
    def build(cls, leaves: Iterable[Leaf]) -> "MemTree":
        """The tree of a set of leaves, given in any order.

        Raises `ValueError` for two leaves with one key.
        """
        ordered = tuple(sorted(leaves))
        for left, right in itertools.pairwise(ordered):
            if left[:2] == right[:2]:
                raise ValueError(f"two leaves have the key {left.key!r}; keys must be unique")
        levels: list[tuple[Node, ...]] = []
        below: tuple[Leaf, ...] | tuple[Node, ...] = ordered
        while below and (not levels or len(below) > 1):
            below = _level(len(levels) + 1, ordered, below)
            levels.append(below)
        return cls(ordered, tuple(levels))

    @property
    def root(self) -> Node | None:
        """The top node; None for no leaves."""
        return self.levels[-1][0] if self.levels else None

    @property
    def depth(self) -> int:
        """Number of levels above the leaves."""
        return len(self.levels)

    def nodes(self) -> Iterator[Node]:
        """All nodes, from level 1 up, each level in time order."""
        for level in self.levels:
            yield from level

    def child_ids(self, node: Node) -> list[str]:
        """Ids of the children: of leaves at level 1, of nodes above."""
        start, end = node.children
        if node.level == 1:
            return [leaf.id for leaf in self.leaves[start:end]]
        return [child.id for child in self.levels[node.level - 2][start:end]]

    def path(self, key: str) -> list[Node]:
        """The nodes above a leaf, from level 1 to the root; empty for an unknown key."""
        at = next((i for i, leaf in enumerate(self.leaves) if leaf.key == key), None)
        if at is None:
            return []
        return [
            next(node for node in level if node.leaves[0] <= at < node.leaves[1])
            for level in self.levels
        ]

    def new_nodes(self, former: "MemTree") -> list[Node]:
        """Nodes that `former` does not have: the summaries an edit costs."""
        known = {node.id for node in former.nodes()}
        return [node for node in self.nodes() if node.id not in known]


@lru_cache(maxsize=1 << 16)  # a leaf is in several trees
def is_cut(level: int, leaf: Leaf) -> bool:
    """Whether a node of `level` may end after the child whose last leaf this is."""
    return int(content_hash(level, leaf.time, leaf.key), 16) % CUT_MODULUS == 0


def _level(
    level: int, leaves: tuple[Leaf, ...], below: tuple[Leaf, ...] | tuple[Node, ...]
) -> tuple[Node, ...]:
    nodes: list[Node] = []
    start = 0
    for at, child in enumerate(below):
        last = at if isinstance(child, Leaf) else child.leaves[1] - 1
        count = at + 1 - start
        cut = count == MAX_CHILDREN or (count >= MIN_CHILDREN and is_cut(level, leaves[last]))
        if not cut and at + 1 < len(below):
            continue
        first = below[start]
        low = start if isinstance(first, Leaf) else first.leaves[0]
        # A child on the right edge may still grow, so that its last key is not final.
        closed = cut and (isinstance(child, Leaf) or child.is_closed)
        ids = [child.id for child in below[start : at + 1]]
        node_id = content_id("node", level, *ids)
        nodes.append(Node(node_id, level, (start, at + 1), (low, last + 1), closed))
        start = at + 1
    return tuple(nodes)
