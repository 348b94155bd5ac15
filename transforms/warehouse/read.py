"""Reading memory tables as Arrow, in exactly the schema of the registry."""

from collections.abc import Sequence

import pyarrow as pa

from schemas.tables import TABLES
from transforms.warehouse.catalog import quoted
from transforms.warehouse.connection import METADATA, Warehouse
from transforms.warehouse.retry import with_retry
from transforms.warehouse.scope import Conversation, conversation_table, pruning_filter

_WANTED = "__wanted_conversations"


def read_table(
    warehouse: Warehouse,
    name: str,
    columns: Sequence[str] | None = None,
    conversations: Sequence[Conversation] | None = None,
    *,
    where: str | None = None,
    at_version: int | None = None,
) -> pa.Table:
    """Rows of table `name`, in no particular order.

    `columns`: only these, in this order. `conversations`: only rows of these
    (tenant, conversation_id); files and row groups without them are not read. `where`: an
    SQL condition over the columns. `at_version`: as of that snapshot.
    """
    table = TABLES[name]
    names = list(columns) if columns is not None else [c.name for c in table.columns]
    schema = pa.schema([table.schema.field(n) for n in names])
    if conversations is not None and not conversations:
        return schema.empty_table()
    version = f" AT (VERSION => {int(at_version)})" if at_version is not None else ""
    select = ", ".join(f"t.{quoted(n)}" for n in names)
    # A subquery, because DuckLake takes AT only on a plain table name.
    sql = f"SELECT {select} FROM (FROM {quoted(name)}{version}) t"
    conditions = [f"({where})"] if where else []
    if conversations is not None:
        conditions.append(pruning_filter(conversations, "t"))
        sql += f" SEMI JOIN {_WANTED} w USING (tenant, conversation_id)"
    if conditions:
        sql += f" WHERE {' AND '.join(conditions)}"
    return _fetch(warehouse, sql, conversations).cast(schema)


def tables_with_rows(warehouse: Warehouse) -> frozenset[str]:
    """Tables that hold rows, or have held some: one look at the catalog, no scan."""
    rows = warehouse.rows(
        f"SELECT t.table_name FROM {METADATA}.ducklake_table t "
        f"JOIN {METADATA}.ducklake_table_stats s USING (table_id) "
        "WHERE t.end_snapshot IS NULL AND s.record_count > 0"
    )
    return frozenset(str(row[0]) for row in rows)


def conversation_ids(warehouse: Warehouse) -> list[Conversation]:
    """All conversations that have messages, sorted."""
    rows = warehouse.rows("SELECT DISTINCT tenant, conversation_id FROM messages")
    return sorted((tenant, conversation) for tenant, conversation in rows)


def counts(warehouse: Warehouse, at_version: int | None = None) -> dict[str, int]:
    """Rows of every table of the registry."""
    version = f" AT (VERSION => {int(at_version)})" if at_version is not None else ""
    parts = [f"SELECT '{n}', count(*) FROM {quoted(n)}{version}" for n in TABLES]
    found = dict(warehouse.rows(" UNION ALL ".join(parts)))
    return {name: int(found[name]) for name in TABLES}


def _fetch(
    warehouse: Warehouse, sql: str, conversations: Sequence[Conversation] | None
) -> pa.Table:
    if conversations is None:
        return warehouse.query(sql)
    wanted = conversation_table(conversations)

    def run() -> pa.Table:
        connection = warehouse.connection
        connection.register(_WANTED, wanted)
        try:
            return connection.execute(sql).to_arrow_table()
        finally:
            connection.unregister(_WANTED)

    return with_retry(run)
