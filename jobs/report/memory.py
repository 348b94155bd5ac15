"""How much there is, and of whom."""

from typing import Any

from jobs.report.letters import short
from transforms.warehouse.connection import METADATA, Warehouse

Row = dict[str, Any]
_PEOPLE = 8
_ENTRIES = 8


def totals(warehouse: Warehouse) -> Row:
    """Counts of memory, in one statement: of one snapshot."""
    return warehouse.query(
        "SELECT count(*) AS messages, count(DISTINCT (tenant, conversation_id)) AS conversations, "
        "count(DISTINCT tenant) AS tenants, min(timestamp) AS first, max(timestamp) AS last, "
        "(SELECT count(*) FROM sessions) AS sessions, "
        "(SELECT count(*) FROM facts) AS facts, "
        "(SELECT count(*) FROM facts WHERE status = 'active') AS active_facts, "
        "(SELECT count(*) FROM facts WHERE status = 'duplicate') AS duplicates, "
        "(SELECT count(*) FROM facts WHERE status = 'superseded') AS superseded, "
        "(SELECT count(*) FROM entities) AS entities, "
        "(SELECT count(*) FROM episodes) AS episodes, "
        "(SELECT count(*) FROM scenes) AS scenes, "
        "(SELECT count(*) FROM personas) AS personas, "
        "(SELECT count(DISTINCT tree_id) FROM memtree_nodes) AS trees, "
        "(SELECT count(*) FROM dead_letters) AS dead_letters "
        "FROM messages WHERE is_current"
    ).to_pylist()[0]


def conversation_sizes(warehouse: Warehouse) -> Row:
    """Conversations by size in powers of two, and the largest."""
    buckets = warehouse.query(
        "SELECT floor(log2(n))::INT AS power, count(*) AS conversations, sum(n) AS messages "
        "FROM (SELECT count(*) AS n FROM messages WHERE is_current "
        "GROUP BY tenant, conversation_id) GROUP BY 1 ORDER BY 1"
    ).to_pylist()
    most = max((row["conversations"] for row in buckets), default=1)
    for row in buckets:
        low = 2 ** row["power"]
        row["label"] = "1" if low == 1 else f"{low:,} to {2 * low - 1:,}"
        row["share"] = 100 * row["conversations"] / most
    largest = warehouse.query(
        "SELECT tenant, conversation_id, count(*) AS messages, min(timestamp) AS first, "
        "max(timestamp) AS last, count(DISTINCT speaker) AS speakers "
        "FROM messages WHERE is_current GROUP BY tenant, conversation_id "
        "ORDER BY messages DESC, tenant, conversation_id LIMIT 8"
    ).to_pylist()
    return {"buckets": buckets, "largest": largest}


def personas(warehouse: Warehouse) -> list[Row]:
    """The people most is known of, each with the surest entries."""
    people = warehouse.query(
        "SELECT tenant, conversation_id, person, count(*) AS entries, "
        "count(*) FILTER (status = 'conflict') AS conflicts FROM personas "
        f"GROUP BY ALL ORDER BY entries DESC, tenant, conversation_id, person LIMIT {_PEOPLE}"
    ).to_pylist()
    for row in people:
        row["known"] = warehouse.query(
            "SELECT kind, attribute, value, status, support, confidence, stability, valid_from "
            "FROM personas WHERE tenant = ? AND conversation_id = ? AND person = ? "
            "ORDER BY status = 'current' DESC, confidence DESC, attribute, persona_id "
            f"LIMIT {_ENTRIES}",
            [row["tenant"], row["conversation_id"], row["person"]],
        ).to_pylist()
        for entry in row["known"]:
            entry["value"] = short(entry["value"], 120)
    return people


def table_sizes(warehouse: Warehouse) -> Row:
    """Rows, files and bytes of each table in the current snapshot, from the catalog alone."""
    rows = warehouse.query(
        "SELECT t.table_name AS name, coalesce(d.files, 0) AS files, "
        "coalesce(d.rows, 0) - coalesce(x.rows, 0) AS rows, "
        "coalesce(d.bytes, 0) AS bytes "
        f"FROM {METADATA}.ducklake_table t LEFT JOIN (SELECT table_id, count(*) AS files, "
        "sum(record_count)::BIGINT AS rows, sum(file_size_bytes)::BIGINT AS bytes "
        f"FROM {METADATA}.ducklake_data_file WHERE end_snapshot IS NULL GROUP BY 1) d "
        "USING (table_id) LEFT JOIN (SELECT table_id, sum(delete_count)::BIGINT AS rows "
        f"FROM {METADATA}.ducklake_delete_file WHERE end_snapshot IS NULL GROUP BY 1) x "
        "USING (table_id) WHERE t.end_snapshot IS NULL ORDER BY bytes DESC, name"
    ).to_pylist()
    largest = max((row["bytes"] for row in rows), default=0) or 1
    for row in rows:
        row["share"] = 100 * row["bytes"] / largest
    filled = [row for row in rows if row["rows"]]
    return {
        "filled": filled,
        "empty": [row["name"] for row in rows if not row["rows"]],
        "bytes": sum(row["bytes"] for row in rows),
        "files": sum(row["files"] for row in rows),
    }
