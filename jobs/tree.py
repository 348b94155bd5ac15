"""Drill-down into MemTrees: from the summary of everything to the facts and their days."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jobs.errors import UsageError
from jobs.tenants import check_one_tenant
from transforms.warehouse.connection import Warehouse
from transforms.warehouse.read import conversation_ids, read_table
from transforms.warehouse.scope import literal

Row = dict[str, Any]
SCOPES = ("conversation", "session", "entity", "scene")
_SUMMARY_CHARS = 150


@dataclass(frozen=True)
class TreeQuery:
    """Which trees, and how deep: `scope` is one of SCOPES, `key` what the tree is of."""

    conversation: str | None
    scope: str
    key: str | None
    depth: int
    tenant: str | None = None


def render_tree(warehouse: Warehouse, query: TreeQuery) -> str:
    """The trees as an indented outline, facts at the bottom.

    Raises:
        UsageError: there is no such tree, or several tenants have one and none is given.
    """
    lines: list[str] = []
    for node in _trees(warehouse, query):
        lines.extend(_outline(node, 0))
    return "\n".join(lines)


def tree_json(warehouse: Warehouse, query: TreeQuery) -> str:
    """The trees as nested JSON."""
    return json.dumps(_trees(warehouse, query), default=_json_value, ensure_ascii=False)


def _json_value(value: object) -> str:
    """Times as the other commands write them."""
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else str(value)


def _trees(warehouse: Warehouse, query: TreeQuery) -> list[Row]:
    if query.scope not in SCOPES:
        raise UsageError(f"no scope {query.scope!r}; there are {', '.join(SCOPES)}")
    conditions = [f"scope_type = {literal(query.scope)}"]
    if query.conversation is not None:
        conditions.append(f"conversation_id = {literal(query.conversation)}")
    if query.tenant is not None:
        conditions.append(f"tenant = {literal(query.tenant)}")
    if query.key is not None:
        conditions.append(_key_condition(warehouse, query.scope, query.key))
    rows = read_table(warehouse, "memtree_nodes", where=" AND ".join(conditions)).to_pylist()
    if not rows:
        raise UsageError(_nothing(warehouse, query))
    check_one_tenant((row["tenant"] for row in rows), f"the {query.scope} tree")
    nodes = {(row["tree_id"], row["node_id"]): row for row in rows}
    facts = _facts(warehouse, rows)
    roots = sorted(
        (row for row in rows if row["is_root"]),
        key=lambda row: (row["conversation_id"], row["start_time"], row["tree_id"]),
    )
    return [_nested(root, nodes, facts, query.depth) for root in roots]


def _nothing(warehouse: Warehouse, query: TreeQuery) -> str:
    """What is not there: the conversation, or only such a tree of it."""
    asked = (query.tenant, query.conversation)
    there = conversation_ids(warehouse)
    if not any(asked[0] in (None, t) and asked[1] in (None, c) for t, c in there):
        names = (("tenant", query.tenant), ("conversation", query.conversation))
        what = " of ".join(f"{name} {value!r}" for name, value in reversed(names) if value)
        return (
            f"no {what or 'conversation'} in the warehouse; see what there is with: "
            'memoryflow sql "SELECT DISTINCT tenant, conversation_id FROM messages"'
        )
    of = f" of {query.key!r}" if query.key is not None else ""
    return (
        f"no {query.scope} tree{of} there; see the trees with: memoryflow sql "
        '"SELECT conversation_id, scope_type, scope_key FROM memtree_nodes WHERE is_root"'
    )


def _key_condition(warehouse: Warehouse, scope: str, key: str) -> str:
    if scope != "entity":
        return f"scope_key = {literal(key)}"
    found = warehouse.rows(
        "SELECT DISTINCT entity_id FROM entities WHERE lower(name) = lower(?) OR entity_id = ? "
        "OR list_contains(list_transform(aliases, a -> lower(a)), lower(?))",
        [key, key, key],
    )
    ids = ", ".join(literal(row[0]) for row in found) or "''"
    return f"scope_key IN ({ids})"


def _facts(warehouse: Warehouse, rows: list[Row]) -> dict[str, Row]:
    scope = sorted({(row["tenant"], row["conversation_id"]) for row in rows})
    columns = ["fact_id", "text", "event_time", "valid_to", "message_id"]
    return {
        row["fact_id"]: row for row in read_table(warehouse, "facts", columns, scope).to_pylist()
    }


def _nested(node: Row, nodes: dict[tuple[str, str], Row], facts: dict[str, Row], depth: int) -> Row:
    children: list[Row] = []
    if depth > 0 and node["level"] > 1:
        below = (nodes[node["tree_id"], child] for child in node["child_ids"])
        children = [_nested(child, nodes, facts, depth - 1) for child in below]
    leaves = [facts[fact] for fact in node["fact_ids"]] if depth > 0 else []
    kept = ("node_id", "level", "leaf_count", "start_time", "end_time", "summary")
    return {name: node[name] for name in kept} | {"children": children, "facts": leaves}


def _outline(node: Row, indent: int) -> Iterator[str]:
    pad = "  " * indent
    first, last = (node[name].strftime("%Y-%m-%d") for name in ("start_time", "end_time"))
    period = first if first == last else f"{first} .. {last}"
    yield f"{pad}[{period}] {node['leaf_count']} facts: {_short(node['summary'])}"
    for child in node["children"]:
        yield from _outline(child, indent + 1)
    for fact in node["facts"]:
        ended = " (no longer)" if fact["valid_to"] is not None else ""
        yield f"{pad}  - {fact['event_time']:%Y-%m-%d} {_short(fact['text'])}{ended}"


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _SUMMARY_CHARS else f"{flat[: _SUMMARY_CHARS - 1]}…"
