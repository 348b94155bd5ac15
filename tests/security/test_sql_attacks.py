"""SQL reads the memory tables and nothing else: attacks beyond those of `test_sql.py`."""

import contextlib
import json
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from jobs import sql_limits
from jobs.errors import UsageError
from jobs.observe.logs import JsonLines
from jobs.sql import SqlSession
from jobs.sql_guard import MAX_QUERY_CHARS, SqlError
from jobs.sql_limits import SqlLimits, memory_bytes, process_limits
from tests.transforms.warehouse.rows import messages
from transforms.warehouse.commit import ChangeSet, commit
from transforms.warehouse.connection import open_warehouse

COUNT = "(SELECT count(*) FROM glob('/*'))"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("attacks") / "warehouse"
    with open_warehouse(folder) as warehouse:
        commit(warehouse, [ChangeSet("messages", inserts=messages("c1", {"m1": "hello"}))])
    return folder


@pytest.fixture(scope="module")
def session(filled: Path) -> Iterator[SqlSession]:
    with SqlSession(filled) as opened:
        yield opened


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file that is none of ours: DuckDB's own fence does not see it."""
    path = tmp_path_factory.mktemp("other") / "other.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (secret_column)")
    connection.close()
    return path


@pytest.mark.parametrize(
    "query",
    [
        "-- c\nEXPLAIN ANALYZE FROM sqlite_scan('{other}', 't')",
        "/**/EXPLAIN ANALYZE FROM sqlite_scan('{other}', 't')",
        "EXPLAIN/**/ANALYZE FROM sqlite_scan('{other}', 't')",
        "EXPLAIN (FORMAT json /* ) SELECT 1 -- */ ) FROM sqlite_scan('{other}', 't')",
        "EXPLAIN (ANALYZE, FORMAT json) FROM sqlite_scan('{other}', 't')",
        "EXPLAIN ANALYZE CREATE TEMP TABLE q AS SELECT 1",
        "/**/EXPLAIN ANALYZE CREATE TEMP TABLE q AS SELECT 1",
        "SELECT json_serialize_plan('FROM sqlite_scan(''{other}'', ''t'')')",
        "SELECT main.JSON_serialize_plan('FROM sqlite_scan(''{other}'', ''t'')')",
        "SELECT 'FROM sqlite_scan(''{other}'', ''t'')'.json_serialize_plan()",
        "SELECT list_transform(['FROM sqlite_scan(''{other}'', ''t'')'], json_serialize_plan)",
        "SELECT text FROM messages WHERE EXISTS (FROM sqlite_query('{other}', 'SELECT 1'))",
    ],
)
def test_no_way_around_the_list_of_functions(session: SqlSession, other: Path, query: str) -> None:
    with pytest.raises(SqlError) as refused:
        session.execute(query.format(other=other))
    assert "secret_column" not in str(refused.value)


@pytest.mark.parametrize(
    "query",
    [
        f"SELECT sum(1) OVER (ROWS BETWEEN {COUNT} PRECEDING AND CURRENT ROW) FROM messages",
        f"SELECT sum(1) OVER w FROM messages WINDOW w AS (ORDER BY {COUNT})",
        f"SELECT DISTINCT ON ({COUNT}) * FROM messages",
        "FROM (FROM glob('/*')) PIVOT (count(*) FOR file IN ('a'))",
        "FROM glob('/*') UNPIVOT (a FOR b IN (file))",
        f"FROM messages m JOIN messages n ON {COUNT} = 1",
        f"VALUES ({COUNT})",
        f"SELECT list_filter([1], lambda x: {COUNT} = x)",
        f"SELECT {{'a': {COUNT}}}",
        f"SELECT string_agg(text ORDER BY {COUNT}) FROM messages",
        f"SELECT count(*) FILTER (WHERE {COUNT} > 0) FROM messages",
        f"FROM messages LIMIT {COUNT}",
        f"FROM messages ORDER BY ALL LIMIT 1 OFFSET {COUNT}",
        f"FROM generate_series(1, {COUNT})",
        f"FROM messages AT (TIMESTAMP => ({COUNT})::TIMESTAMP)",
        f"FROM messages, LATERAL (SELECT {COUNT})",
        f"SELECT count(*) FROM messages GROUP BY GROUPING SETS (({COUNT}))",
        f"SELECT 1 GROUP BY ALL HAVING {COUNT} > 0",
        f"SELECT * REPLACE ({COUNT} AS text) FROM messages",
        "WITH RECURSIVE a AS (SELECT 1 x UNION ALL SELECT count(*) FROM glob('/*')) FROM a",
        "(FROM glob('/*')) UNION SELECT 'a'",
        "SELECT 'a' IN (SELECT file FROM glob('/*'))",
        "FROM messages POSITIONAL JOIN glob('/*')",
        "FROM memories_as_of((SELECT max(content) FROM read_text('/etc/hostname')))",
        "EXPLAIN FROM glob('/*')",
        "SUMMARIZE FROM glob('/*')",
    ],
)
def test_a_function_is_found_wherever_it_stands(session: SqlSession, query: str) -> None:
    with pytest.raises(SqlError, match=r"Table function '(glob|read_text)' is not allowed"):
        session.execute(query)


@pytest.mark.parametrize(
    "query",
    [
        *("FROM pg_settings", "SUMMARIZE pg_catalog.pg_settings", 'FROM "PG_Settings"'),
        *("DESCRIBE pg_settings", "EXPLAIN ANALYZE FROM system.pg_catalog.pg_settings"),
        *("SELECT (SELECT any_value(setting) FROM pg_settings)", "FROM duckdb_logs"),
        "FROM messages WHERE text IN (SELECT setting FROM pg_settings)",
    ],
)
def test_the_configuration_is_not_shown(session: SqlSession, query: str) -> None:
    """Keys of an object store and the password of a proxy would be in it."""
    with pytest.raises(SqlError, match="it shows no memory"):
        session.execute(query)


def test_files_are_no_tables_even_in_the_data_folder(session: SqlSession, filled: Path) -> None:
    file = next((filled / "data").rglob("*.parquet"))
    for query in (f"FROM '{file}'", f'FROM main."{file}"', f"DESCRIBE '{file}'", "FROM 'x.csv'"):
        with pytest.raises(SqlError, match="is no memory table"):
            session.execute(query)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT '\ud800'", "not UTF-8 at character 9"),
        ("SELECT 1\0; DROP TABLE messages", "U\\+0000"),
        ("SELECT '" + "x" * MAX_QUERY_CHARS + "'", "the limit is"),
        ("FROM (" * 900 + "SELECT 1" + ")" * 900, "depth|deep"),
        ("SELECT sleep_ms(100000)", "'sleep_ms' is not allowed"),
        ("SELECT current_setting('temp_directory')", "not allowed"),
    ],
)
def test_odd_text_is_refused_in_words(session: SqlSession, query: str, said: str) -> None:
    with pytest.raises(SqlError, match=said):
        session.execute(query)
    assert session.execute("FROM messages").num_rows == 1


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("PRAGMA version", "^PRAGMA is not allowed"),
        ("EXPLAIN PRAGMA version", "^PRAGMA is not allowed"),
        ("EXPLAIN ANALYZE DROP TABLE messages", "^DROP is not allowed"),
        ("SELECT 1; DROP TABLE messages", "^Give one query"),
        ("/**/EXPLAIN SELECT 1", "no comment before or in EXPLAIN"),
        ("SELECT 1; SELECT 2", "one statement at a time"),
        ("EXPLAIN SELECT 1; SELECT 2", "one statement at a time"),
        ("-- nothing", "one statement at a time"),
        ("SELECT 1,\n  FROM FROM", r"LINE 2:   FROM FROM"),
    ],
)
def test_a_refusal_names_what_was_written(session: SqlSession, query: str, said: str) -> None:
    with pytest.raises(SqlError, match=said):
        session.execute(query)


@pytest.mark.parametrize("before", ["", "EXPLAIN ", "EXPLAIN ANALYZE ", "SELECT 1; ", "/**/"])
def test_a_refused_import_opens_no_file(session: SqlSession, tmp_path: Path, before: str) -> None:
    """DuckDB replaces it by the statements of its files when it lists statements, not later."""
    (tmp_path / "schema.sql").write_text("SELECT 'secret'")
    (tmp_path / "load.sql").write_text("")
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(SqlError) as refused:
            session.execute(f"{before}IMPORT DATABASE '{folder}'")
        assert "not allowed" in str(refused.value) or "Give one query" in str(refused.value)
        assert str(folder) not in str(refused.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    "query",
    [
        "WITH RECURSIVE a AS (SELECT 1 x UNION ALL SELECT x + 1 FROM a) SELECT count(*) FROM a",
        "SELECT count(*) FROM range(100000000) a, range(1000000) b",
    ],
)
def test_a_query_without_end_is_interrupted(filled: Path, query: str) -> None:
    with SqlSession(filled, limits=SqlLimits(seconds=0.1)) as session:
        with pytest.raises(SqlError, match=r"longer than 0\.1 s: raise --timeout"):
            session.execute(query)
        assert _in_the_end(session, "SELECT 1") == 1


def _in_the_end(session: SqlSession, query: str) -> int:
    """Rows of a query that ends at once, unless the machine stands still meanwhile."""
    for _ in range(50):
        with contextlib.suppress(SqlError):
            return session.execute(query).num_rows
    return session.execute(query).num_rows


@pytest.mark.slow
def test_a_result_without_end_is_refused(filled: Path) -> None:
    with SqlSession(filled, limits=SqlLimits(rows=50_000)) as session:
        with pytest.raises(SqlError, match=r"more than 50,000 rows .* add LIMIT"):
            session.execute("FROM range(1000000000000)")
        assert session.execute("FROM range(50000)").num_rows == 50_000


def test_the_end_of_a_process_is_told_as_every_error_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sql_limits, "_GRACE_SECONDS", 0.0)
    ended = Event()
    monkeypatch.setattr(sql_limits.os, "_exit", lambda _: ended.set())
    monkeypatch.setattr(sql_limits.resource, "setrlimit", lambda *_: None)
    monkeypatch.setattr(sys, "stderr", JsonLines(sys.stderr))
    with process_limits(SqlLimits(seconds=0.01)):
        assert ended.wait(60)
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["level"]) == ("command.failed", "error")
    assert line["message"] == "the query did not end after 0.01 s"


def test_memory_limits_are_read() -> None:
    assert memory_bytes("512MB") == 512 * 1024**2
    assert memory_bytes(" 4 gb ") == 4 * 1024**3
    for text in ("", "0GB", "4", "4TB", "-1GB", "4GB; SET x = 1", "1e3MB"):
        with pytest.raises(UsageError, match="--memory-limit"):
            memory_bytes(text)
