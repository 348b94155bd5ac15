"""What may be asked of a warehouse in SQL: the first of the two fences of `jobs.sql`.

A query is judged by DuckDB's own syntax tree, before anything of it is bound: one SELECT (or
what DuckDB makes one of: DESCRIBE, SHOW, SUMMARIZE), or EXPLAIN of one; table functions that
are listed here, no function that plans or runs text as SQL, and no file for a table.
"""

import json
import re
from collections.abc import Callable
from typing import Any

import duckdb

from schemas.views import VIEWS
from transforms.warehouse.connection import METADATA

MAX_QUERY_CHARS = 100_000
"""Longer queries are refused: DuckDB takes seconds to read them, and cannot be interrupted."""

_TABLE_FUNCTIONS = frozenset(
    {
        *("unnest", "range", "generate_series", "repeat", "json_each", "json_tree", "summary"),
        *("duckdb_tables", "duckdb_columns", "duckdb_views", "duckdb_functions"),
        *("duckdb_types", "duckdb_schemas", "duckdb_databases"),
        *("ducklake_snapshots", "ducklake_current_snapshot", "ducklake_table_info"),
        *("ducklake_table_changes", "ducklake_table_insertions", "ducklake_table_deletions"),
        *(view.name for view in VIEWS if view.parameters is not None),
    }
)
# Scalar functions that read text as SQL, show the configuration, or wait. SQLite's table
# functions open files while they are planned, past DuckDB's file system.
_REFUSED_FUNCTIONS = frozenset(
    {
        *("json_serialize_plan", "json_deserialize_sql", "json_execute_serialized_sql"),
        *("query", "query_table", "current_setting", "getenv", "write_log"),
        *("sleep_ms", "pg_sleep", "nextval", "currval"),
    }
)
# Views that show the configuration: with S3 loaded the keys of the environment are in it, as
# is a proxy's password; and what others have logged.
_REFUSED_VIEWS = frozenset({"pg_settings", "duckdb_settings", "duckdb_logs", "duckdb_secrets"})
# Spelled out, so that no comment can hide in it: what is cut off is what DuckDB cuts off.
_OPTION = r"(?:analyze(?:\s+(?:true|false|on|off))?|format\s+[a-z_]+)"
_EXPLAIN = re.compile(
    rf"\s*explain\b(?:\s+analyze\b)?(?:\s*\(\s*{_OPTION}(?:\s*,\s*{_OPTION})*\s*\))?",
    re.IGNORECASE | re.ASCII,
)
# What makes DuckDB take a name for a file, were it not for the second fence.
_FILE_MARKS = frozenset("./\\*?:")
_FIRST_WORD = re.compile(r"\s*([a-z]+)", re.IGNORECASE | re.ASCII)
_QUERY_WORDS = frozenset({"select", "with", "from", "explain"})
_ONE = "Give one query, and no comment before or in EXPLAIN:"
_ONLY = "this is read-only SQL. Use SELECT, WITH, DESCRIBE, SUMMARIZE, SHOW or EXPLAIN."


class SqlError(Exception):
    """A query that is refused or wrong; the message is for the user."""


NodeCheck = Callable[[dict[str, Any]], None]
"""Raises SqlError for a node of a syntax tree that may not be there."""


def check_query(
    connection: duckdb.DuckDBPyConnection, query: str, also: NodeCheck | None = None
) -> None:
    """Pass, if `query` may run; `also`, of one tenant, is asked about each node of its syntax tree.

    Raises:
        SqlError: it is not one statement, not for reading, reaches beyond the memory tables, or
            is an EXPLAIN of one tenant.
    """
    check_text(query)
    option = _EXPLAIN.match(query)
    if option is not None and also is not None:
        raise SqlError("With --tenant there is no EXPLAIN: its numbers of rows are of all tenants.")
    judged = query[option.end() :] if option is not None else query
    check_tree(_syntax_tree(connection, judged), also)
    # Only now: finding statements opens the files of an IMPORT and makes queries of a PRAGMA.
    try:
        kinds = [statement.type for statement in connection.extract_statements(query)]
    except duckdb.Error as error:
        raise SqlError(str(error)) from error
    if kinds != [duckdb.StatementType.EXPLAIN if option else duckdb.StatementType.SELECT]:
        raise SqlError(f"{_ONE} {_ONLY}")


def check_text(query: str) -> None:
    """SqlError for text that DuckDB would read in part, or not at all."""
    if len(query) > MAX_QUERY_CHARS:
        raise SqlError(
            f"The query has {len(query):,} characters, the limit is {MAX_QUERY_CHARS:,}: "
            "join with a table instead of listing values."
        )
    if "\0" in query:
        raise SqlError("The query holds U+0000: remove it.")
    try:
        query.encode("utf-8")
    except UnicodeEncodeError as error:
        raise SqlError(f"The query is not UTF-8 at character {error.start + 1}.") from error


def check_tree(root: object, also: NodeCheck | None = None) -> None:
    """SqlError for a function, a table or a catalog that is not for queries."""
    waiting: list[object] = [root]
    while waiting:  # Not recursive: the tree is as deep as the query likes.
        node = waiting.pop()
        if isinstance(node, list):
            waiting.extend(node)
        elif isinstance(node, dict):
            _check_node(node)
            if also is not None:
                also(node)
            waiting.extend(node.values())


def _syntax_tree(connection: duckdb.DuckDBPyConnection, query: str) -> object:
    try:
        found = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [query]).fetchall()
        tree = json.loads(found[0][0])
        if tree.get("error_type") == "parser":
            connection.extract_statements(query)  # Fails as well, and shows the place.
    except duckdb.Error as error:
        raise SqlError(str(error)) from error
    except RecursionError as error:
        raise SqlError("The query is nested too deeply.") from error
    if tree.get("error"):
        raise SqlError(_no_query(query))
    if len(tree["statements"]) != 1:
        raise SqlError("Give one statement at a time.")
    return tree


def _no_query(query: str) -> str:
    """What to say of text that DuckDB reads, but not as queries alone."""
    word = _FIRST_WORD.match(query)
    if word is None or word[1].lower() in _QUERY_WORDS:
        return f"{_ONE} {_ONLY}"
    return f"{word[1].upper()} is not allowed: {_ONLY}"


def _check_node(node: dict[str, Any]) -> None:
    if node.get("type") == "TABLE_FUNCTION":
        name = str(node.get("function", {}).get("function_name", "")).lower()
        if name not in _TABLE_FUNCTIONS:
            raise SqlError(
                f"Table function {name!r} is not allowed: queries reach the memory tables only."
            )
    if str(node.get("function_name", "")).lower() in _REFUSED_FUNCTIONS:
        raise SqlError(f"Function {str(node['function_name']).lower()!r} is not allowed here.")
    if "table_name" in node and node.get("type") in ("BASE_TABLE", "SHOW_REF"):
        _check_table(node)


def _check_table(node: dict[str, Any]) -> None:
    names = [str(node.get(key) or "") for key in ("catalog_name", "schema_name", "table_name")]
    if METADATA in (name.lower() for name in names[:2]):
        raise SqlError("The catalog's own tables are not for queries.")
    if names[2].lower() in _REFUSED_VIEWS:
        raise SqlError(f"{names[2].lower()!r} is not allowed: it shows no memory.")
    if any(mark in name for name in names for mark in _FILE_MARKS):
        raise SqlError(f"{'.'.join(filter(None, names))!r} is no memory table; files are not read.")
