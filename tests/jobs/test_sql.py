import io
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.sql import SqlError, SqlSession, render, run_sql, shell
from tests.transforms.warehouse.rows import messages
from transforms.warehouse.commit import ChangeSet, commit
from transforms.warehouse.connection import open_warehouse


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sql") / "warehouse"
    with open_warehouse(folder) as warehouse:
        rows = messages("c1", {"m1": "hello", "m2": "line\nbreak"})
        commit(warehouse, [ChangeSet("messages", inserts=rows)])
    return folder


@pytest.fixture(scope="module")
def session(filled: Path) -> Iterator[SqlSession]:
    with SqlSession(filled) as opened:
        yield opened


@pytest.mark.parametrize(
    "query",
    [
        "SELECT text FROM messages",
        "WITH a AS (FROM messages) SELECT count(*) FROM a",
        "FROM memories",
        "FROM memories_as_of('2024-05-01')",
        "FROM memories_as_of(now())",
        "SELECT tier, count(*) FROM memory_heat(now()) GROUP BY tier",
        "FROM provenance",
        "FROM timeline",
        "FROM current_messages",
        "DESCRIBE facts",
        "SUMMARIZE messages",
        "SHOW TABLES",
        "EXPLAIN SELECT * FROM messages",
        "EXPLAIN ANALYZE SELECT * FROM messages",
        "EXPLAIN (FORMAT json) SELECT * FROM messages",
        "EXPLAIN (SELECT 1)",
        "SELECT * FROM messages AT (VERSION => 1)",
        "SELECT unnest(range(3))",
        "FROM range(3);",
        "-- a comment\nSELECT 1",
        "FROM ducklake_snapshots('lake')",
        "SELECT comment FROM duckdb_columns() WHERE table_name = 'facts'",
    ],
)
def test_queries(session: SqlSession, query: str) -> None:
    session.execute(query)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT (SELECT max(content) FROM read_text('/etc/hostname'))",
        "WITH a AS (FROM read_blob('/etc/hostname')) FROM a",
        "DESCRIBE SELECT * FROM read_csv('/etc/passwd')",
        "EXPLAIN SELECT * FROM read_csv('/etc/passwd')",
        "EXPLAIN ANALYZE SELECT * FROM sqlite_scan('/tmp/x.sqlite', 'x')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM '/etc/passwd.csv'",
        "SELECT * FROM 'https://example.org/x.parquet'",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM parquet_metadata('/tmp/x.parquet')",
        "SELECT * FROM query('SELECT * FROM glob(''/*'')')",
        "SELECT * FROM query_table('messages')",
        "SELECT * FROM sqlite_query('__ducklake_metadata_lake', 'SELECT 1')",
        "SELECT * FROM __ducklake_metadata_lake.ducklake_table",
        "SELECT * FROM __ducklake_metadata_lake.main.ducklake_table",
        "SELECT * FROM json_execute_serialized_sql('{}')",
        "COPY messages TO '/tmp/memoryflow-attack.csv'",
        "COPY (FROM messages) TO 'data/attack.csv'",
        "ATTACH '/tmp/memoryflow-attack.db'",
        "ATTACH ':memory:' AS other",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "RESET lock_configuration",
        "PRAGMA database_list",
        "CALL ducklake_expire_snapshots('lake', versions => [1])",
        "INSERT INTO messages SELECT * FROM messages",
        "DELETE FROM messages",
        "UPDATE messages SET text = ''",
        "DROP TABLE messages",
        "CREATE TABLE memory.main.x AS SELECT 1",
        "CREATE TEMP VIEW x AS SELECT 1",
        "EXPORT DATABASE '/tmp/memoryflow-attack'",
        "USE memory",
        "DETACH lake",
        "CHECKPOINT",
        "BEGIN",
        "PREPARE p AS SELECT 1",
        "SELECT 1; DROP TABLE messages",
        "",
        "SELEKT 1",
        "SELECT no_such_column FROM messages",
    ],
)
def test_attacks_and_mistakes(session: SqlSession, query: str) -> None:
    with pytest.raises(SqlError):
        session.execute(query)
    assert session.execute("FROM messages").num_rows == 2


def test_the_second_fence_holds_alone(
    session: SqlSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the table functions only SQLite's own goes past DuckDB's file system."""
    monkeypatch.setattr("jobs.sql_guard.check_tree", lambda *_: None)
    (tmp_path / "secret.csv").write_text("a\n1\n")
    for function in ("read_csv", "read_text", "read_blob", "glob", "read_json"):
        with pytest.raises(SqlError, match="file system operations are disabled"):
            session.execute(f"FROM {function}('{tmp_path}/secret.csv')")


def test_other_sqlite_files_are_out_of_reach(session: SqlSession, tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE x (a)")
    connection.close()
    with pytest.raises(SqlError, match="'sqlite_scan' is not allowed"):
        session.execute(f"SELECT * FROM sqlite_scan('{other}', 'x')")


def test_output(filled: Path) -> None:
    query = "SELECT message_id, timestamp, role, 1 AS role, [1.5] AS l FROM messages ORDER BY ALL"
    rows = json.loads(run_sql(filled, query, as_json=True))
    assert rows[0]["message_id"] == "m1"
    assert rows[0]["timestamp"].endswith("Z")
    assert (rows[0]["role"], rows[0]["role_2"], rows[0]["l"]) == (None, 1, [1.5])
    text = run_sql(filled, "SELECT text FROM messages ORDER BY text")
    assert "line break" in text
    assert text.endswith("(2 rows)")
    odd = "SELECT 'nan'::DOUBLE AS n, '\\xFF'::BLOB AS b, [1]::INT[1] AS a, 1::DECIMAL(9,2) AS d"
    assert json.loads(run_sql(filled, odd, as_json=True)) == [
        {"n": None, "b": {"base64": "/w=="}, "a": [1], "d": 1.0}
    ]


def test_markup_in_text_is_shown_as_it_is(session: SqlSession) -> None:
    assert "[red]x[/red]" in render(session.execute("SELECT '[red]x[/red]' AS \"[b]\""))


def test_shell(filled: Path) -> None:
    lines = iter(
        ["SELECT count(*) AS n", "FROM messages;", ".tables", ".schema links", ".nonsense",
         "DROP TABLE links;", ".help", ".quit", "never read"]
    )  # fmt: skip
    out = io.StringIO()
    shell(filled, read_line=lambda _: next(lines), out=out)
    shown = out.getvalue()
    for part in ("(1 row)", "memories", "link_id", "Unknown command", "DROP is not allowed"):
        assert part in shown
    assert next(lines) == "never read"


def test_the_last_statement_of_a_pipe_needs_no_semicolon(filled: Path) -> None:
    lines = iter(["SELECT count(*) AS n", "FROM messages"])

    def line_or_end(_: str) -> str:
        found = next(lines, None)
        if found is None:
            raise EOFError
        return found

    out = io.StringIO()
    shell(filled, read_line=line_or_end, out=out)
    assert "(1 row)" in out.getvalue()


def test_sums_of_integers_are_integers(filled: Path) -> None:
    query = "SELECT sum(x) AS sum, 0.25::DECIMAL(9,2) AS part, {huge} AS huge FROM range(10) t(x)"
    huge = 2**127 - 1
    (row,) = json.loads(run_sql(filled, query.format(huge=huge), as_json=True))
    assert row == {"sum": 45, "part": 0.25, "huge": huge}
    assert type(row["sum"]) is int


def test_words_that_the_catalog_would_fill_in_are_texts(filled: Path) -> None:
    query = "SELECT count(*) FROM messages WHERE message_id >= 'a{DATA_PATH}b' AND text < 'z'"
    assert str(filled) not in run_sql(filled, query)


def test_shell_ends_with_the_input(filled: Path) -> None:
    def end(_: str) -> str:
        raise EOFError

    shell(filled, read_line=end, out=io.StringIO())


def test_lines_are_the_bare_values(filled: Path) -> None:
    lines = run_sql(filled, "SELECT text FROM messages ORDER BY text", as_lines=True)
    rows = json.loads(run_sql(filled, "SELECT text FROM messages ORDER BY text", as_json=True))
    assert lines == "\n".join(row["text"] for row in rows)
    with pytest.raises(SqlError, match="one column"):
        run_sql(filled, "SELECT text, speaker FROM messages", as_lines=True)
