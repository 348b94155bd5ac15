"""SQL with --tenant has no way to the rows of another tenant."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.sql import SqlSession, run_sql, shell
from jobs.sql_guard import SqlError
from schemas.tables import TABLES
from schemas.views import VIEWS
from tests.security.test_tenants import OTHER, SAID, assert_silent, fill

pytestmark = pytest.mark.slow

WITH_TENANT = [name for name, table in TABLES.items() if "tenant" in table.schema.names]
OF_RUNS = {"run_summary", "run_steps"}
MEMORY_VIEWS = [
    f"{view.name}(TIMESTAMPTZ '2030-01-01')" if view.parameters else view.name
    for view in VIEWS
    if view.name not in OF_RUNS
]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("both") / "w", "red", "blue")


@pytest.fixture(params=list(SAID))
def tenant(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def session(both: Path, tenant: str) -> Iterator[SqlSession]:
    with SqlSession(both, tenant=tenant) as opened:
        yield opened


def test_every_table_and_view_holds_the_rows_of_the_tenant(
    session: SqlSession, both: Path, tenant: str
) -> None:
    with SqlSession(both) as owner:
        for name in (*WITH_TENANT, *MEMORY_VIEWS):
            rows = session.execute(f"FROM {name}").to_pylist()
            assert_silent(tenant, rows)
            wanted = owner.execute(f"FROM {name} WHERE tenant = '{tenant}'").to_pylist()
            assert sorted(map(repr, rows)) == sorted(map(repr, wanted))
    assert "facts" in WITH_TENANT
    assert len(session.execute("FROM facts")) == len(SAID[tenant])


@pytest.mark.parametrize(
    "query",
    [
        *("FROM lake.facts", "FROM lake.main.facts", 'FROM "LAKE".main.facts', "FROM memory.facts"),
        *("SELECT (SELECT max(text) FROM lake.facts)", "DESCRIBE lake.facts"),
        *("SUMMARIZE lake.facts", "SHOW TABLES FROM lake", "EXPLAIN ANALYZE FROM lake.facts"),
        "WITH facts AS (FROM lake.main.facts) FROM facts",
        "FROM facts WHERE text IN (SELECT text FROM lake.messages)",
        *("FROM lake.memories_as_of(now())", "FROM lake.main.memory_heat(now())"),
        *("FROM ducklake_snapshots('lake')", "FROM ducklake_table_info('lake')"),
        "FROM ducklake_table_changes('lake', 'main', 'facts', 0, 9)",
        *("FROM duckdb_tables()", "FROM duckdb_tables", "FROM pg_tables"),
        *("FROM pg_catalog.pg_class", "FROM pg_class"),
        *("FROM runs", "FROM offsets", "FROM run_summary", "FROM facts AT (VERSION => 1)"),
        "FROM __ducklake_metadata_lake.ducklake_data_file",
        *("SELECT stats(text) FROM messages", 'SELECT "STATS"(tenant) FROM messages'),
        *("SELECT text.stats() FROM messages", "SELECT system.main.stats(text) FROM messages"),
        "SELECT list_transform([text], lambda x: stats(x)) FROM messages",
    ],
)
def test_there_is_no_way_out(session: SqlSession, query: str) -> None:
    with pytest.raises(SqlError):
        session.execute(query)


@pytest.mark.parametrize(
    "query",
    [
        *("EXPLAIN FROM messages", "EXPLAIN ANALYZE FROM messages", "explain/**/FROM messages"),
        "EXPLAIN (ANALYZE, FORMAT json) SELECT count(*) FROM messages",
        "EXPLAIN SELECT tenant FROM messages WHERE timestamp > '2024-03-02'",
    ],
)
def test_a_plan_would_count_the_rows_of_all(session: SqlSession, query: str) -> None:
    with pytest.raises(SqlError, match="With --tenant there is no EXPLAIN"):
        session.execute(query)
    with pytest.raises(SqlError, match="no comment before or in EXPLAIN"):
        session.execute(f"/**/{query}")


def test_statistics_of_files_are_not_even_used(
    both: Path, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the names do not stop finds nothing: another function may show statistics one day."""
    query = "SELECT stats(text) AS a, stats(tenant) AS b FROM messages LIMIT 1"
    with SqlSession(both) as owner:
        (row,) = owner.execute(query).to_pylist()
        assert "Min: blue" in row["b"]
    monkeypatch.setattr("jobs.sql.check_tenant_node", lambda _: None)
    with SqlSession(both, tenant=tenant) as opened:
        (row,) = opened.execute(query).to_pylist()
        assert "Min" not in row["a"] + row["b"]
        with pytest.raises(SqlError):
            opened.execute("SET disabled_optimizers = ''")


def test_where_the_warehouse_is_is_not_told(session: SqlSession, both: Path) -> None:
    for query in ("FROM duckdb_databases()", "FROM duckdb_databases", "FROM pragma_database_list"):
        with pytest.raises(SqlError, match="shows where the warehouse is"):
            session.execute(query)
    for query in ("SHOW DATABASES", "SHOW ALL TABLES", "FROM information_schema.schemata"):
        assert str(both) not in json.dumps(session.execute(query).to_pylist(), default=str)


def test_stats_may_be_a_name_of_ones_own(session: SqlSession) -> None:
    query = "WITH stats AS (SELECT count(*) AS stats FROM facts) SELECT stats FROM stats"
    assert session.execute(query).num_rows == 1


def test_names_of_ones_own_database_may_be_spelled_out(session: SqlSession, tenant: str) -> None:
    for name in ("main.facts", "tenant.facts", "tenant.main.facts"):
        assert len(session.execute(f"FROM {name}")) == len(SAID[tenant])
    (row,) = session.execute("SELECT DISTINCT upper(tenant) AS who FROM facts").to_pylist()
    assert row == {"who": tenant.upper()}


def test_a_tenant_nobody_wrote_as_is_an_error(both: Path) -> None:
    with pytest.raises(SqlError, match=r"No message .* tenant \"red'; DROP"):
        run_sql(both, "FROM facts", tenant="red'; DROP")


def test_the_shell_lists_what_is_there(both: Path, tenant: str) -> None:
    lines, out = iter([".tables", ".schema facts", "FROM facts;", ".quit"]), io.StringIO()
    shell(both, read_line=lambda _: next(lines), out=out, tenant=tenant)
    shown = out.getvalue()
    assert "Error" not in shown
    assert "memories" in shown
    assert "\n runs" not in shown
    assert_silent(tenant, json.dumps(shown))
    assert OTHER[tenant] not in shown.split()
