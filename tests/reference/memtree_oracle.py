"""The tree rule of the contract, read word by word: recursive, quadratic, no classes.

Leaves are (time, key, id). A node is a dict with its id, level, children (nodes or leaves),
leaves and whether a later leaf could still change it.
"""

from typing import Any

from schemas.ids import content_hash, content_id


def memtree(leaves: list[tuple[int, str, str]]) -> list[dict[str, Any]]:
    """All nodes, level by level in time order."""
    row: list[Any] = sorted(leaves)
    out: list[dict[str, Any]] = []
    level = 0
    while row and (level == 0 or len(row) > 1):
        level += 1
        row = close_nodes(level, row)
        out += row
    return out


def close_nodes(level: int, children: list[Any]) -> list[dict[str, Any]]:
    """Scan left to right; the first closed node, then the rest."""
    if not children:
        return []
    for count in range(1, len(children) + 1):
        hashed = int(content_hash(level, *last_leaf(children[count - 1])[:2]), 16)
        if (count >= 2 and hashed % 6 == 0) or count == 16:
            closed = not isinstance(children[count - 1], dict) or children[count - 1]["closed"]
            return [node(level, children[:count], closed), *close_nodes(level, children[count:])]
    return [node(level, children, False)]


def node(level: int, children: list[Any], closed: bool) -> dict[str, Any]:
    ids = [child["id"] if isinstance(child, dict) else child[2] for child in children]
    return {
        "id": content_id("node", level, *ids),
        "level": level,
        "child_ids": ids,
        "leaves": [leaf for child in children for leaf in leaves_of(child)],
        "closed": closed,
    }


def leaves_of(child: Any) -> list[tuple[int, str, str]]:
    return child["leaves"] if isinstance(child, dict) else [child]


def last_leaf(child: Any) -> tuple[int, str, str]:
    return leaves_of(child)[-1]
