"""Tables and views of the lake, with comments, and the marker with the format version."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import duckdb
import pyarrow as pa

from schemas.tables import TABLES, Table
from schemas.views import VIEWS, create_statements
from transforms.warehouse.errors import WarehouseError
from transforms.warehouse.identity import MARKER_FILE

FORMAT_VERSION = 1
# Of a marker that says nothing of them.
_DEFAULT_KINDS = {"catalog": "sqlite", "data": "local"}
# Small row groups, so that one conversation's rows are read without their neighbours'.
_ROW_GROUP_ROWS = {"embeddings": 4096}
_DEFAULT_ROW_GROUP_ROWS = 16384

_TYPES: dict[pa.DataType, str] = {
    pa.string(): "VARCHAR",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE",
    pa.bool_(): "BOOLEAN",
    pa.binary(): "BLOB",
    pa.timestamp("us", tz="UTC"): "TIMESTAMP WITH TIME ZONE",
}


def sql_type(arrow: pa.DataType) -> str:
    """DuckDB type of an Arrow type of the registry; KeyError for one not used there."""
    if isinstance(arrow, pa.ListType):
        return f"{sql_type(arrow.value_type)}[]"
    return _TYPES[arrow]


def quoted(name: str) -> str:
    """`name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def table_statements(table: Table) -> list[str]:
    """CREATE TABLE and COMMENT statements of one table."""
    columns = ", ".join(
        f"{quoted(c.name)} {sql_type(c.type)}{'' if c.nullable else ' NOT NULL'}"
        for c in table.columns
    )
    name = quoted(table.name)
    comments = [
        f"COMMENT ON COLUMN {name}.{quoted(c.name)} IS {_literal(c.comment)}" for c in table.columns
    ]
    comment = f"COMMENT ON TABLE {name} IS {_literal(table.comment)}"
    return [f"CREATE TABLE {name} ({columns})", comment, *comments]


def ensure_tables(
    connection: duckdb.DuckDBPyConnection, folder: Path, kinds: Mapping[str, str]
) -> None:
    """Create what is missing, in one transaction, then write the marker.

    `kinds`: what the marker says of catalog and data, where they are not in the folder.
    WarehouseError where a table exists with other columns than the registry's.
    """
    existing = _existing_columns(connection)
    for name, columns in existing.items():
        _check_columns(name, columns, folder)
    missing = [table for table in TABLES.values() if table.name not in existing]
    views_changed = _read_marker(folder).get("views") != _views_digest()
    if not missing and not views_changed:
        return
    connection.execute("BEGIN")
    try:
        for table in missing:
            for statement in table_statements(table):
                connection.execute(statement)
        for statement in create_statements():
            connection.execute(statement)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    _set_row_groups(connection)
    _write_marker(folder, kinds)


def check_marker(folder: Path, kinds: Mapping[str, str]) -> None:
    """WarehouseError: written by a newer memoryflow, a broken marker, other `kinds` than now.

    The last is a warehouse.yaml that came, went or changed after the first run.
    """
    marker = _read_marker(folder)
    try:
        version = int(str(marker["format"]))
    except (KeyError, TypeError, ValueError) as error:
        raise WarehouseError(
            f"{MARKER_FILE} is damaged", folder, "Restore it, or build the warehouse again."
        ) from error
    if version > FORMAT_VERSION:
        raise WarehouseError(
            f"the warehouse has format {version}, this memoryflow reads up to {FORMAT_VERSION}",
            folder,
            "Update memoryflow.",
        )
    for part, default in _DEFAULT_KINDS.items():
        recorded, now = marker.get(part, default), kinds.get(part, default)
        if recorded != now:
            raise WarehouseError(
                f"this warehouse was built with its {part} in {recorded}, but is now asked for "
                f"with its {part} in {now}",
                folder,
                "Restore warehouse.yaml as it was, or build into a new folder; the log is all "
                "it takes.",
            )


def _existing_columns(connection: duckdb.DuckDBPyConnection) -> dict[str, list[tuple[str, str]]]:
    rows = connection.execute(
        "SELECT table_name, column_name, data_type FROM duckdb_columns() "
        "WHERE database_name = current_database() AND table_name IN "
        "(SELECT table_name FROM duckdb_tables() WHERE database_name = current_database()) "
        "ORDER BY table_name, column_index"
    ).fetchall()
    tables: dict[str, list[tuple[str, str]]] = {}
    for table, column, type_ in rows:
        tables.setdefault(table, []).append((column, type_))
    return tables


def _check_columns(name: str, columns: list[tuple[str, str]], folder: Path) -> None:
    table = TABLES.get(name)
    if table is None:
        return
    wanted = [(c.name, sql_type(c.type)) for c in table.columns]
    if columns != wanted:
        changed = sorted({name for name, _ in set(columns) ^ set(wanted)})
        raise WarehouseError(
            f"table {name!r} has other columns than this memoryflow ({', '.join(changed)})",
            folder,
            "Build into a new folder; the log is all it takes.",
        )


def _set_row_groups(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(
        "CALL ducklake_set_option(current_database(), 'parquet_row_group_size', "
        f"'{_DEFAULT_ROW_GROUP_ROWS}')"
    )
    for table, rows in _ROW_GROUP_ROWS.items():
        connection.execute(
            "CALL ducklake_set_option(current_database(), 'parquet_row_group_size', "
            f"'{rows}', table_name => '{table}')"
        )


def _views_digest() -> str:
    return hashlib.sha256(repr(VIEWS).encode()).hexdigest()[:16]


def _read_marker(folder: Path) -> dict[str, object]:
    file = folder / MARKER_FILE
    if not file.exists():
        return {}
    try:
        data = json.loads(file.read_text("utf-8"))
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def _write_marker(folder: Path, kinds: Mapping[str, str]) -> None:
    """Atomically, and last: a folder with a marker is a finished warehouse."""
    temporary = folder / f"{MARKER_FILE}.tmp"
    marker = {"format": FORMAT_VERSION, "views": _views_digest(), **kinds}
    temporary.write_text(json.dumps(marker) + "\n", "utf-8")
    temporary.replace(folder / MARKER_FILE)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
