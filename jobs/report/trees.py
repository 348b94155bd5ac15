"""The shape of MemTrees, and a drawing of the largest."""

from collections.abc import Mapping
from typing import Any

from jobs.report.charts import WIDTH, Box, first_fitting
from jobs.report.letters import short
from transforms.warehouse.connection import Warehouse
from transforms.warehouse.scope import literal

Row = dict[str, Any]
_MOST_NODES = 700
_ROW = 34.0
_TICKS = 6


def tree_shapes(warehouse: Warehouse) -> list[Row]:
    """By scope: trees, facts below them, and nodes per level with a share for bars."""
    roots = warehouse.query(
        "SELECT scope_type, count(*) AS trees, max(level) AS height, max(leaf_count) AS largest, "
        "round(avg(leaf_count), 1) AS average, "
        "count(*) FILTER (summarizer = 'llm') AS by_model FROM memtree_nodes WHERE is_root "
        "GROUP BY 1 ORDER BY trees DESC, scope_type"
    ).to_pylist()
    levels = warehouse.rows(
        "SELECT scope_type, level, count(*) FROM memtree_nodes GROUP BY ALL ORDER BY ALL"
    )
    for row in roots:
        found = [(level, count) for scope, level, count in levels if scope == row["scope_type"]]
        most = max(count for _, count in found)
        row["levels"] = [
            {"level": level, "nodes": count, "share": 100 * count / most}
            for level, count in reversed(found)
        ]
    return roots


def icicle(warehouse: Warehouse) -> Row | None:
    """The tree with most facts: its upper levels as boxes, facts in time from left to right.

    None where there is no tree.
    """
    roots = warehouse.rows(
        "SELECT tree_id, tenant, conversation_id, scope_type, scope_key, node_id, level, "
        "leaf_count FROM memtree_nodes WHERE is_root "
        "ORDER BY leaf_count DESC, level DESC, tree_id LIMIT 1"
    )
    if not roots:
        return None
    tree, tenant, conversation, scope, key, root, height, leaves = roots[0]
    lowest = _lowest_level(warehouse, tree)
    nodes = {
        row["node_id"]: row
        for row in warehouse.query(
            "SELECT node_id, level, is_closed, child_ids, leaf_count, start_time, end_time, "
            f"left(summary, 300) AS summary FROM memtree_nodes WHERE tree_id = {literal(tree)} "
            f"AND level >= {lowest}"
        ).to_pylist()
    }
    boxes: list[Row] = []
    _place(nodes, root, 0, height, WIDTH / max(1, leaves), boxes)
    return {
        "tenant": tenant,
        "conversation": conversation,
        "scope": scope,
        "key": key if scope != "conversation" else "",
        "leaves": leaves,
        "levels": height,
        "hidden": lowest - 1,
        "boxes": boxes,
        "height": (height - lowest + 1) * _ROW,
        "ticks": _ticks(boxes),
    }


def _lowest_level(warehouse: Warehouse, tree: str) -> int:
    """Levels from the root down as long as the drawing stays small."""
    counts = warehouse.rows(
        f"SELECT level, count(*) FROM memtree_nodes WHERE tree_id = {literal(tree)} "
        "GROUP BY 1 ORDER BY 1 DESC"
    )
    total, lowest = 0, counts[0][0]
    for level, count in counts:
        total += count
        if total > _MOST_NODES:
            break
        lowest = level
    return lowest


def _place(
    nodes: Mapping[str, Row], node_id: str, first: int, top: int, unit: float, out: list[Row]
) -> None:
    """The box of a node, then those of its children below it."""
    node = nodes[node_id]
    width = node["leaf_count"] * unit
    start, end = (f"{node[name]:%Y-%m-%d}" for name in ("start_time", "end_time"))
    period = start if start == end else f"{start} to {end}"
    summary = short(node["summary"], 220)
    out.append(
        {
            "box": Box(
                round(first * unit, 2),
                (top - node["level"]) * _ROW,
                round(max(width - 1.0, 0.6), 2),
                _ROW - 2,
                label=first_fitting(_labels(period, start, node["leaf_count"]), width),
                title=f"{period}, {node['leaf_count']} facts: {summary}",
            ),
            "open": not node["is_closed"],
            "depth": (top - node["level"]) % 6,
            "start": node["start_time"],
        }
    )
    for child in node["child_ids"]:
        if child not in nodes:  # Facts, or below the lowest level drawn.
            return
        _place(nodes, child, first, top, unit, out)
        first += nodes[child]["leaf_count"]


def _labels(period: str, start: str, leaves: int) -> list[str]:
    """The best first."""
    return [f"{period} · {leaves}", f"{start} · {leaves}", start, f"{leaves}"]


def _ticks(boxes: list[Row]) -> list[Row]:
    """Some dates below the drawing: of the nodes that begin next to evenly spaced places."""
    ticks: list[Row] = []
    for place in range(_TICKS):
        x = WIDTH * place / _TICKS
        nearest = min(boxes, key=lambda item: (abs(item["box"].x - x), item["box"].y))
        label = f"{nearest['start']:%Y-%m-%d}"
        if not ticks or (ticks[-1]["label"] != label and nearest["box"].x - ticks[-1]["x"] > 90):
            ticks.append({"x": nearest["box"].x, "label": label})
    return ticks
