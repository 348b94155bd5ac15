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
    ],
)
def test_there_is_no_way_out(session: SqlSession, query: str) -> None:
    with pytest.raises(SqlError):
        session.execute(query)


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
