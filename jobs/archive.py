"""Archive rules: an SQL condition over `memory_heat` that keeps facts out of a search.

Nothing is deleted: another rule, another time or no rule finds the same facts again.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import duckdb

from jobs.errors import UsageError
from jobs.sql_guard import SqlError, check_tree
from transforms.warehouse.connection import Warehouse
from transforms.warehouse.scope import Conversation, literal

_EXAMPLE = "retention < 0.05 AND importance < 0.3"


class ArchiveRule:
    """A condition over the columns of `memory_heat`, such as `tier = 'archive'`.

    Args:
        warehouse: open, best read-only.
        condition: one boolean SQL expression, without subqueries; UsageError if it is not.
    """

    def __init__(self, warehouse: Warehouse, condition: str):
        self._warehouse = warehouse
        self._bare = condition
        # The line break ends a comment that the condition may end with.
        self._condition = f"({condition}\n)"
        self._check()

    def archived(self, at: datetime, conversations: Sequence[Conversation]) -> frozenset[str]:
        """Ids of the facts of these conversations that the condition holds for at `at`."""
        if not conversations:
            return frozenset()
        scope = ", ".join(f"({literal(t)}, {literal(c)})" for t, c in conversations)
        rows = self._warehouse.rows(
            f"SELECT fact_id FROM {_heat(at)} "
            f"WHERE (tenant, conversation_id) IN ({scope}) AND {self._condition}"
        )
        return frozenset(fact for (fact,) in rows)

    def _check(self) -> None:
        problem = self._problem()
        if problem is None:
            return
        names = [
            row[0] for row in self._warehouse.rows(f"DESCRIBE FROM {_heat(datetime.now(UTC))}")
        ]
        raise UsageError(
            f"--archive {self._bare!r}: {problem}\n"
            f'Give a condition such as "{_EXAMPLE}" over {", ".join(names)}.'
        )

    def _problem(self) -> str | None:
        """What is wrong with the condition, found without running it."""
        # Bare as well: "true) OR (true" is an expression only between our parentheses.
        for expression in (self._bare, self._condition):
            [(text,)] = self._warehouse.rows(
                "SELECT json_serialize_sql(?::VARCHAR)", [f"SELECT {expression}"]
            )
            tree = json.loads(text)
            if tree["error"]:
                return str(tree["error_message"])
            if not _is_expression(tree["statements"]):
                return "not one expression without subqueries"
            try:
                check_tree(tree)
            except SqlError as error:
                return str(error)
        source = f"FROM {_heat(datetime.now(UTC))}"
        try:
            described = self._warehouse.rows(
                f"DESCRIBE SELECT {self._condition} AS archived {source} WHERE {self._condition}"
            )
        except duckdb.Error as error:
            return str(error).splitlines()[0]
        kind = described[0][1]
        return None if kind == "BOOLEAN" else f"it gives {kind}, not true or false"


def _heat(at: datetime) -> str:
    return f"memory_heat(TIMESTAMPTZ {literal(at.isoformat())})"


def _is_expression(statements: list[dict[str, Any]]) -> bool:
    """Whether a parsed `SELECT condition` is that and no more."""
    if len(statements) != 1:
        return False
    node = statements[0]["node"]
    return (
        node["type"] == "SELECT_NODE"
        and len(node["select_list"]) == 1
        and node["from_table"]["type"] == "EMPTY"
        and not _has_subquery(node)
    )


def _has_subquery(node: object) -> bool:
    if isinstance(node, list):
        return any(map(_has_subquery, node))
    if isinstance(node, dict):
        return node.get("class") == "SUBQUERY" or any(map(_has_subquery, node.values()))
    return False
