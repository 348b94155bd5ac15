"""Communities of a graph: Leiden with the constant Potts model, bounded in size."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import graspologic_native

Community = tuple[int, ...]
"""Nodes of one community, ascending."""

Edge = tuple[str, str, float]
"""Two nodes by name, and a weight."""

_SEED = 20190326  # any fixed number will do; this is the day the paper appeared
_ITERATIONS = 1  # more change the quality by less than 0.1%


@dataclass(frozen=True)
class Clustering:
    """How communities are found.

    Method: Leiden (Traag, Waltman & van Eck 2019, https://doi.org/10.1038/s41598-019-41695-z)
    maximising the constant Potts model (https://doi.org/10.1103/PhysRevE.84.016114): a
    community is denser within than `resolution`, and sparser towards every other. Unlike
    modularity this asks nothing about the rest of the graph, so that a community does not
    change because another topic was talked about. Deterministic: a fixed seed, and nodes and
    edges in canonical order.

    Attributes:
        resolution: mean weight between two nodes above which they are better together.
        max_members: a larger community is clustered again, with twice the resolution.
    """

    resolution: float
    max_members: int

    def find(self, edges: Sequence[Edge], former: Sequence[Community]) -> list[Community]:
        """Communities of all nodes that have an edge, by first node.

        The search starts from the communities `former`; other nodes start alone.
        """
        if not edges:
            return []
        home = {node_name(node): at for at, some in enumerate(former) for node in some}
        # The library panics unless each node has an edge to a fellow, and labels have no gaps
        # (https://github.com/graspologic-org/graspologic-native/issues/29).
        held = {
            name
            for one, other, _ in edges
            if one in home and home[one] == home.get(other)
            for name in (one, other)
        }
        labels: dict[str | int, int] = {}
        start: dict[str, int] = {}
        for name in sorted({name for edge in edges for name in edge[:2]}):
            key = home[name] if name in held else name
            start[name] = labels.setdefault(key, len(labels))
        found = _leiden(edges, self.resolution, start)
        return sorted(self._divided(found, edges, self.resolution))

    def _divided(
        self, found: Sequence[Community], edges: Sequence[Edge], resolution: float
    ) -> Iterator[Community]:
        """The communities, those that are too large in parts. Each edge is looked at once."""
        large = [one for one in found if len(one) > self.max_members]
        yield from (one for one in found if len(one) <= self.max_members)
        for inner in _inner_edges(large, edges):
            # It ends: above the greatest weight every node is best alone.
            yield from self._divided(_leiden(inner, 2 * resolution, None), inner, 2 * resolution)


def _inner_edges(communities: Sequence[Community], edges: Sequence[Edge]) -> list[list[Edge]]:
    """The edges inside each community, in the given order."""
    home = {node_name(node): at for at, nodes in enumerate(communities) for node in nodes}
    inner: list[list[Edge]] = [[] for _ in communities]
    for edge in edges if communities else ():
        at = home.get(edge[0])
        if at is not None and at == home.get(edge[1]):
            inner[at].append(edge)
    return inner


def node_name(node: int) -> str:
    """The name of a node for the library: names sort as numbers do."""
    return f"{node:08}"


def _leiden(
    edges: Sequence[Edge], resolution: float, start: dict[str, int] | None
) -> list[Community]:
    _, label_of = graspologic_native.leiden(  # pyright: ignore[reportAttributeAccessIssue] no types
        edges,
        starting_communities=start,
        resolution=resolution,
        iterations=_ITERATIONS,
        use_modularity=False,
        seed=_SEED,
    )
    found: dict[int, list[int]] = {}
    for name, label in label_of.items():
        found.setdefault(label, []).append(int(name))
    return sorted(tuple(sorted(nodes)) for nodes in found.values())
