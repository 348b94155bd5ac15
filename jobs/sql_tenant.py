"""SQL over the memory of one tenant: the tables and views of a database of its own.

In it every table that has a tenant is a view of that tenant's rows, and the views of
`schemas.views` stand on these. Names of other catalogs, and functions that take one, are refused,
so a query has no way to the lake but these views. Tables without tenants (`runs`, `offsets`, ...)
are not there: they tell of everybody. So does what DuckDB knows of the files behind a view (how
many rows, smallest and largest values): it is neither used nor shown.
"""

import contextlib

import duckdb

from jobs.sql_guard import SqlError
from schemas.tables import TABLES
from schemas.views import create_statements
from transforms.warehouse.connection import LAKE, Warehouse
from transforms.warehouse.scope import literal

TENANT_CATALOG = "tenant"
_TENANT = "tenant"
_SCHEMAS = frozenset({"", TENANT_CATALOG, "main", "information_schema"})
_CATALOGS = frozenset({"", TENANT_CATALOG})
# What reads the lake by its name, or tells how many rows its tables have.
_ALL_TENANTS = ("ducklake_", "duckdb_tables", "pg_class", "pg_tables")
_PATHS = frozenset({"duckdb_databases", "pragma_database_list"})
# Statistics are kept by file, and a file holds rows of many tenants: `stats(text)` would show
# the smallest and largest of them, and a filter that they decide would be gone from the plan.
_NO_STATISTICS = "SET disabled_optimizers = 'statistics_propagation'"
_STATISTICS = "stats"


def enter_tenant(warehouse: Warehouse, tenant: str) -> None:
    """Make the tenant's database, and make it the one that names are looked up in.

    Raises:
        SqlError: the warehouse has no message of this tenant.
    """
    if not warehouse.rows("SELECT 1 FROM messages WHERE tenant = ? LIMIT 1", [tenant]):
        raise SqlError(f"No message in the warehouse is of tenant {tenant!r}: see `--tenant`.")
    connection = warehouse.connection
    connection.execute(_NO_STATISTICS)
    connection.execute(f"ATTACH ':memory:' AS {TENANT_CATALOG}")
    connection.execute(f"USE {TENANT_CATALOG}")
    for name, table in TABLES.items():
        if _TENANT in table.schema.names:
            connection.execute(
                f"CREATE VIEW {name} AS SELECT * FROM {LAKE}.main.{name} "
                f"WHERE tenant = {literal(tenant)}"
            )
            connection.execute(f"COMMENT ON VIEW {name} IS {literal(table.comment)}")
    for statement in create_statements():
        # Views over tables without tenants are not there, as these are not.
        with contextlib.suppress(duckdb.CatalogException):
            connection.execute(statement)


def check_tenant_node(node: dict[str, object]) -> None:
    """SqlError for a part of a syntax tree that would leave the tenant's database."""
    if node.get("type") in ("BASE_TABLE", "SHOW_REF"):
        schema, catalog = _lower(node, "schema_name"), _lower(node, "catalog_name")
        # `lake.facts` is parsed as a table of schema `lake`.
        if schema not in _SCHEMAS or catalog not in _CATALOGS:
            raise SqlError("With --tenant, name tables without their catalog.")
    if "function_name" in node and LAKE in (_lower(node, "schema"), _lower(node, "catalog")):
        raise SqlError("With --tenant, name functions without their catalog.")
    if _lower(node, "function_name") == _STATISTICS:
        raise SqlError("Function 'stats' tells of all tenants: not with --tenant.")
    name = _lower(node, "function_name") or _lower(node, "table_name")
    if name.startswith(_ALL_TENANTS):
        raise SqlError(f"{name!r} tells of all tenants: not with --tenant.")
    if name in _PATHS:
        raise SqlError(f"{name!r} shows where the warehouse is: not with --tenant.")


def _lower(node: dict[str, object], key: str) -> str:
    return str(node.get(key) or "").lower()
