"""The trees of a call as one set of nodes: what several trees share stands there once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from operators.memtree.node_text import NodeText, Scope, Sentence
from operators.memtree.tree import Leaf, MemTree

NodeKey = tuple[str, str, str]
"""Tenant, conversation and node id."""


@dataclass(frozen=True)
class Planted:
    """A tree and whose it is."""

    tenant: str
    conversation_id: str
    scope_type: Scope
    scope_key: str
    tree: MemTree

    def key(self, node_id: str) -> NodeKey:
        """Of a node of the tree."""
        return self.tenant, self.conversation_id, node_id


def node_texts(
    forest: Sequence[Planted], statements: Mapping[Leaf, Sentence]
) -> dict[NodeKey, NodeText]:
    """The distinct nodes of the trees, children before their parents."""
    scopes = _scopes(
        (planted.key(node.id), planted.scope_type)
        for planted in forest
        for node in planted.tree.nodes()
    )
    root_of = _scopes(
        (planted.key(planted.tree.root.id), planted.scope_type)
        for planted in forest
        if planted.tree.root is not None
    )
    done: dict[NodeKey, NodeText] = {}
    for planted in forest:
        for node in planted.tree.nodes():
            key = planted.key(node.id)
            if key in done:
                continue
            leaves = planted.tree.leaves[slice(*node.leaves)] if node.level == 1 else ()
            below = planted.tree.child_ids(node) if node.level > 1 else ()
            done[key] = NodeText(
                planted.tenant,
                planted.conversation_id,
                node.level,
                node.is_closed,
                tuple([statements[leaf] for leaf in leaves]),
                tuple([done[planted.key(child)] for child in below]),
                scopes[key],
                root_of.get(key, frozenset()),
            )
    return done


def _scopes(found: Iterable[tuple[NodeKey, Scope]]) -> dict[NodeKey, frozenset[Scope]]:
    out: dict[NodeKey, frozenset[Scope]] = {}
    for key, scope in found:
        known: frozenset[Scope] = out.get(key, frozenset())
        out[key] = known.union((scope,))
    return out
