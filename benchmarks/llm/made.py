"""What a warehouse holds of a language model's work, and what it lacks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.llm.text_table import Row
from transforms.warehouse.connection import open_warehouse

_MAKERS = (
    ("facts", "extractor"),
    ("episodes", "made_by"),
    ("scenes", "made_by"),
    ("personas", "made_by"),
)
_TREES = """
    SELECT 'memtree_nodes: ' || scope_type || ', level ' || level, count(*),
        count(*) FILTER (starts_with(summarizer, 'llm')), count(*) FILTER (is_closed),
        count(*) FILTER (is_closed AND starts_with(summarizer, 'llm'))
    FROM memtree_nodes WHERE summary IS NOT NULL GROUP BY scope_type, level
    ORDER BY scope_type, level
"""
_EXTRACTED = """
    SELECT count(*) FROM memtree_nodes
    WHERE is_closed AND scope_type <> 'entity' AND NOT starts_with(summarizer, 'llm')
"""
_WITHOUT_FACT = """
    SELECT message_id FROM messages
    WHERE is_current AND length(regexp_split_to_array(trim(text), '\\s+')) >= ?
    AND message_id NOT IN (SELECT unnest(source_message_ids) FROM facts)
    AND message_id NOT IN (SELECT message_id FROM facts) ORDER BY message_id
"""


def shares_by_model(warehouse: Path) -> list[Row]:
    """Rows by table, and how many of them a model made; of trees also those that are closed."""
    with open_warehouse(warehouse, read_only=True) as opened:
        rows: list[tuple[Any, ...]] = [
            (table, *opened.rows(_count_sql(table, column))[0], None, None)
            for table, column in _MAKERS
        ]
        rows += opened.rows(_TREES)
        verdicts = opened.rows("SELECT count(*) FROM verdicts")[0][0]
    rows.append(("verdicts", verdicts, verdicts, None, None))
    return [_share(*row) for row in rows]


def _count_sql(table: str, column: str) -> str:
    return f"SELECT count(*), count(*) FILTER (starts_with({column}, 'llm')) FROM {table}"


def _share(table: str, rows: int, by_model: int, closed: int | None, told: int | None) -> Row:
    return {
        "table": table,
        "rows": rows,
        "by the model": by_model,
        "share %": round(100 * by_model / rows, 1) if rows else None,
        "closed": closed,
        "closed, by the model": told,
    }


def recorded_by_step(warehouse: Path) -> dict[str, dict[str, int]]:
    """Of the calls in `artifacts`, each once: calls, sent, cached, received."""
    sql = """
        SELECT step, count(*), sum(sent), sum(cached), sum(received) FROM (
            SELECT step, artifact_id, any_value(tokens_in) AS sent,
                any_value(cached_tokens) AS cached, any_value(tokens_out) AS received
            FROM artifacts WHERE output IS NOT NULL GROUP BY ALL
        ) GROUP BY step ORDER BY step
    """
    names = ("calls", "sent", "cached", "received")
    with open_warehouse(warehouse, read_only=True) as opened:
        rows = opened.rows(sql)
    return {step: dict(zip(names, map(int, counts), strict=True)) for step, *counts in rows}


def dead_letters(warehouse: Path) -> dict[str, int]:
    """Dead letters by step and reason."""
    sql = "SELECT step || ': ' || reason, count(*) FROM dead_letters GROUP BY ALL ORDER BY ALL"
    with open_warehouse(warehouse, read_only=True) as opened:
        return {name: int(count) for name, count in opened.rows(sql)}


def without_fact(warehouse: Path, words: int = 8) -> Sequence[str]:
    """Ids of current messages of so many words that no fact rests on."""
    with open_warehouse(warehouse, read_only=True) as opened:
        return [row[0] for row in opened.rows(_WITHOUT_FACT, [words])]


def by_rules(warehouse: Path) -> dict[str, int]:
    """Rows of each level that the rules made, and closed nodes of the trees that a model tells."""
    with open_warehouse(warehouse, read_only=True) as opened:
        counts = {table: opened.rows(_count_sql(table, name))[0] for table, name in _MAKERS}
        nodes = int(opened.rows(_EXTRACTED)[0][0])
    return {table: rows - made for table, (rows, made) in counts.items()} | {"closed nodes": nodes}
