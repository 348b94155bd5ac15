"""`memoryflow export`: the memory as plain files, readable without memoryflow or DuckLake."""

import shutil
from pathlib import Path

from schemas.tables import TABLES
from schemas.views import create_statements
from transforms.warehouse.catalog import quoted, table_statements
from transforms.warehouse.connection import LAKE, Warehouse
from transforms.warehouse.errors import WarehouseError
from transforms.warehouse.identity import require_outside
from transforms.warehouse.scope import literal

_TARGET = "exported"


def export_parquet(warehouse: Warehouse, folder: Path) -> dict[str, int]:
    """One Parquet file per table in `folder` (new or empty), sorted by key; rows per table."""
    folder = folder.absolute()
    require_outside(folder)
    if folder.exists() and any(folder.iterdir()):
        raise WarehouseError("the folder is not empty", folder, "Name a new or an empty folder.")
    temporary = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    rows: dict[str, int] = {}
    for name, table in TABLES.items():
        order = ", ".join(quoted(k) for k in table.key)
        file = literal(str(temporary / f"{name}.parquet"))
        found = warehouse.rows(f"COPY (FROM {quoted(name)} ORDER BY {order}) TO {file}")
        rows[name] = int(found[0][0])
    if folder.exists():
        folder.rmdir()
    temporary.replace(folder)
    return rows


def export_duckdb(warehouse: Warehouse, file: Path) -> dict[str, int]:
    """A DuckDB file with tables, comments and views, for any DuckDB client; rows per table."""
    file = file.absolute()
    require_outside(file)
    if file.exists():
        raise WarehouseError("the file exists", file, "Name a new file, or remove this one.")
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.partial")
    temporary.unlink(missing_ok=True)
    connection = warehouse.connection
    connection.execute(f"ATTACH {literal(str(temporary))} AS {_TARGET}")
    rows: dict[str, int] = {}
    try:
        connection.execute(f"USE {_TARGET}")
        for name, table in TABLES.items():
            for statement in table_statements(table):
                connection.execute(statement)
            order = ", ".join(quoted(k) for k in table.key)
            found = warehouse.rows(
                f"INSERT INTO {quoted(name)} FROM {LAKE}.{quoted(name)} ORDER BY {order}"
            )
            rows[name] = int(found[0][0])
        for statement in create_statements():
            connection.execute(statement)
    finally:
        connection.execute(f"USE {LAKE}")
        connection.execute(f"DETACH {_TARGET}")
    temporary.replace(file)
    return rows
