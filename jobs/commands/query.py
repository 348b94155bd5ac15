"""`sql`, `why`, `digest`, `export` and `tree`: looking into a warehouse."""

import json
from pathlib import Path
from typing import Annotated

import typer

from jobs.commands.options import (
    DEFAULT_WAREHOUSE,
    ConversationOption,
    JsonOption,
    TenantOption,
    WarehouseOption,
    as_stored,
)
from jobs.digest import digest as digest_of
from jobs.export import export_duckdb, export_parquet
from jobs.sql import run_sql, shell
from jobs.sql_limits import DEFAULT_MEMORY, SqlLimits, memory_bytes, process_limits
from jobs.tree import SCOPES, TreeQuery, render_tree, tree_json
from jobs.why import render
from jobs.why import why as explain_memory
from transforms.warehouse.connection import open_warehouse


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (sql, why, tree, digest, export):
        app.command(command.__name__)(command)


def sql(
    query: Annotated[str | None, typer.Argument(help="A SELECT; without it a shell.")] = None,
    warehouse: WarehouseOption = DEFAULT_WAREHOUSE,
    json_output: JsonOption = False,
    lines: Annotated[
        bool, typer.Option("--lines", help="The only column as bare lines, e.g. raw input.")
    ] = False,
    tenant: TenantOption = None,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0, help="Seconds a query may take; 0: no limit.")
    ] = 300.0,
    memory_limit: Annotated[
        str, typer.Option("--memory-limit", help="What DuckDB may take, such as 512MB or 16GB.")
    ] = DEFAULT_MEMORY,
) -> None:
    """Query the memory tables with SQL, read-only."""
    memory_bytes(memory_limit)
    limits = SqlLimits(timeout or None, memory_limit)
    if query is None:
        shell(warehouse, limits=limits, tenant=tenant)
        return
    with process_limits(limits):
        found = run_sql(
            warehouse,
            query,
            as_json=json_output,
            as_lines=lines,
            limits=limits,
            tenant=tenant,
        )
    print(found)


def why(
    memory_id: Annotated[
        str,
        typer.Argument(metavar="ID", help="Id of any memory or message.", callback=as_stored),
    ],
    warehouse: WarehouseOption = DEFAULT_WAREHOUSE,
    conversation: ConversationOption = None,
    tenant: TenantOption = None,
    json_output: JsonOption = False,
) -> None:
    """From a memory back to the messages, the model calls and the run that made it."""
    with open_warehouse(warehouse, read_only=True) as opened:
        explanations = explain_memory(opened, memory_id, conversation=conversation, tenant=tenant)
    if json_output:
        print("[" + ",".join(e.to_json() for e in explanations) + "]")
    else:
        print(render(explanations))


def tree(
    warehouse: WarehouseOption = DEFAULT_WAREHOUSE,
    conversation: ConversationOption = None,
    tenant: TenantOption = None,
    scope: Annotated[
        str, typer.Option("--scope", help=f"Trees of what: {', '.join(SCOPES)}.")
    ] = "conversation",
    key: Annotated[
        str | None,
        typer.Option(
            "--key",
            help="Id of a session or scene, or entity name; default: all.",
            callback=as_stored,
        ),
    ] = None,
    depth: Annotated[int, typer.Option("--depth", min=1, help="Levels to show.")] = 3,
    json_output: JsonOption = False,
) -> None:
    """Drill down into the MemTrees, from the root to the facts."""
    query = TreeQuery(conversation, scope, key, depth, tenant)
    with open_warehouse(warehouse, read_only=True) as opened:
        print(tree_json(opened, query) if json_output else render_tree(opened, query))


def digest(warehouse: WarehouseOption = DEFAULT_WAREHOUSE) -> None:
    """Row count and order-independent hash of every table, as JSON."""
    with open_warehouse(warehouse, read_only=True) as opened:
        print(json.dumps(digest_of(opened), indent=2))


def export(
    out: Annotated[Path, typer.Argument(help="A new folder for Parquet, or a new .duckdb file.")],
    warehouse: WarehouseOption = DEFAULT_WAREHOUSE,
) -> None:
    """Write plain Parquet files, or one .duckdb file that the stock client opens."""
    with open_warehouse(warehouse, read_only=True) as opened:
        write = export_duckdb if out.suffix == ".duckdb" else export_parquet
        rows = write(opened, out)
    print(f"{out}: {len(rows)} tables, {sum(rows.values()):,} rows")
