"""`memoryflow sql`: read-only SQL over the memory tables and views, and a small shell.

Two fences against reading other files:
- what may be asked: see `jobs.sql_guard`;
- what DuckDB may reach: the lake is attached read-only, external access is off but for the
  warehouse's data folder, extensions cannot be loaded, and the configuration is locked.
With a tenant, names mean the rows of that tenant and nothing else: see `jobs.sql_tenant`.
A query ends at a time limit, and its result has a largest size: see `jobs.sql_limits`.
"""

import base64
import contextlib
import importlib
import json
import math
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from io import StringIO
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

import duckdb
import pyarrow as pa
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from jobs.sql_guard import SqlError, check_query
from jobs.sql_limits import DEFAULT_LIMITS, SqlLimits, fetch_bounded, time_limit
from jobs.sql_tenant import check_tenant_node, enter_tenant
from schemas.inert_text import inert
from transforms.warehouse.connection import Warehouse, open_warehouse
from transforms.warehouse.retry import with_retry
from transforms.warehouse.scope import literal

_MAX_CELL = 120
_HELP = "Statements end with ';'.  .tables  .schema [NAME]  .help  .quit"


class SqlSession:
    """A warehouse opened read-only and fenced in."""

    def __init__(
        self,
        path: Path | str,
        *,
        threads: int | None = None,
        limits: SqlLimits = DEFAULT_LIMITS,
        tenant: str | None = None,
    ) -> None:
        self._limits = limits
        self._also = None if tenant is None else check_tenant_node
        self._warehouse = open_warehouse(
            path, read_only=True, threads=threads, memory_limit=limits.memory
        )
        try:
            if tenant is not None:
                enter_tenant(self._warehouse, tenant)
            _fence_in(self._warehouse)
        except BaseException:
            self._warehouse.close()
            raise

    def execute(self, query: str) -> pa.Table:
        """Result of one statement; SqlError if it is refused, fails, or goes over a limit."""
        connection = self._warehouse.connection
        query = inert(query)  # As texts are stored; DuckLake would fill in constants, too.
        with time_limit(connection, self._limits.seconds) as watch:
            try:
                check_query(connection, query, self._also)
                return with_retry(lambda: fetch_bounded(connection, query, self._limits))
            except duckdb.PermissionException as error:
                raise SqlError(f"Not allowed here: {_first_line(error)}") from error
            except (duckdb.Error, pa.ArrowException, MemoryError) as error:
                raise SqlError(watch.explained(error)) from error

    def close(self) -> None:
        """Close the warehouse."""
        self._warehouse.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def run_sql(
    path: Path | str,
    query: str,
    *,
    as_json: bool = False,
    as_lines: bool = False,
    limits: SqlLimits = DEFAULT_LIMITS,
    tenant: str | None = None,
) -> str:
    """Result of one query: a table for people, a JSON array of objects, or bare lines."""
    with SqlSession(path, limits=limits, tenant=tenant) as session:
        result = session.execute(query)
    return bare_lines(result) if as_lines else render(result, as_json=as_json)


def bare_lines(table: pa.Table) -> str:
    """The only column of `table`, a value a line as it stands; raw input lines, for example.

    Raises:
        SqlError: there are several columns.
    """
    if table.num_columns != 1:
        raise SqlError(f"--lines prints one column, the query has {table.num_columns}: name one.")
    plain = map(_plain, table.column(0).to_pylist())
    return "\n".join(
        text if isinstance(text, str) else json.dumps(text, ensure_ascii=False) for text in plain
    )


def render(table: pa.Table, *, as_json: bool = False) -> str:
    """`table` as text."""
    names = _unique(table.column_names)
    rows = table.rename_columns(names).to_pylist()
    if as_json:
        return json.dumps([_plain(row) for row in rows], ensure_ascii=False)
    grid = RichTable(show_edge=False)
    for name in names:
        grid.add_column(Text(name), overflow="fold")
    for row in rows:
        grid.add_row(*(Text(_cell(row[name])) for name in names))
    out = StringIO()
    Console(file=out, width=max(80, (_MAX_CELL + 3) * len(names)), color_system=None).print(grid)
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    return "\n".join([*lines, f"({len(rows)} row{'' if len(rows) == 1 else 's'})"])


def shell(
    path: Path | str,
    *,
    read_line: Callable[[str], str] = input,
    out: TextIO | None = None,
    limits: SqlLimits = DEFAULT_LIMITS,
    tenant: str | None = None,
) -> None:
    """Read statements until '.quit' or end of input; errors are shown and the shell goes on."""
    stream = out or sys.stdout
    if read_line is input:
        # Gives `input` history and editing, in memory only; not on every platform.
        with contextlib.suppress(ImportError):
            importlib.import_module("readline")
    with SqlSession(path, limits=limits, tenant=tenant) as session:
        print(_HELP, file=stream)
        for statement in _statements(read_line, stream):
            try:
                print(render(session.execute(_expand(statement))), file=stream)
            except SqlError as error:
                print(f"Error: {error}", file=stream)


def _statements(read_line: Callable[[str], str], out: TextIO) -> Iterator[str]:
    """Statements as typed; dot commands count as one at once."""
    pending = ""
    while True:
        try:
            line = read_line("...> " if pending else "memory> ")
        except EOFError:
            if pending.strip():  # From a pipe, where the last semicolon is easily left out.
                yield pending
            return
        except KeyboardInterrupt:
            pending = ""
            print(file=out)
            continue
        command = line.strip()
        if not pending and command in (".quit", ".exit"):
            return
        if not pending and command == ".help":
            print(_HELP, file=out)
        elif not pending and command.startswith("."):
            yield command
        else:
            pending += line + "\n"
            if command.endswith(";"):
                yield pending
                pending = ""


def _expand(statement: str) -> str:
    """SQL of a dot command."""
    if not statement.startswith("."):
        return statement
    command, _, name = statement.partition(" ")
    if command == ".tables":
        return (
            "SELECT table_name AS name, table_comment AS comment FROM information_schema.tables "
            "WHERE table_catalog = current_database() ORDER BY ALL"
        )
    if command == ".schema":
        only = f" AND table_name = {literal(name.strip())}" if name.strip() else ""
        return (
            "SELECT table_name, column_name, data_type, comment FROM duckdb_columns() "
            f"WHERE database_name = current_database(){only} ORDER BY table_name, column_index"
        )
    raise SqlError(f"Unknown command {command!r}. {_HELP}")


def _fence_in(warehouse: Warehouse) -> None:
    connection = warehouse.connection
    data = literal(f"{warehouse.data_uri}/")
    connection.execute(f"SET allowed_directories = [{data}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _unique(names: list[str]) -> list[str]:
    seen: dict[str, int] = {}
    out: list[str] = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        out.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return out


def _plain(value: object) -> object:
    """`value` as JSON can say it; bytes as text where they are, else base64."""
    match value:
        case dict():
            plain: object = {str(key): _plain(item) for key, item in value.items()}
        case list():
            plain = [_plain(item) for item in value]
        case datetime():
            plain = value.isoformat().replace("+00:00", "Z")
        case bytes():
            plain = _plain_bytes(value)
        case float():
            plain = value if math.isfinite(value) else None
        case Decimal():
            whole = value == value.to_integral_value()  # Sums of integers, and larger ones.
            plain = int(value) if whole else float(value)
        case None | str() | int():
            plain = value
        case _:
            plain = str(value)
    return plain


def _plain_bytes(value: bytes) -> object:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode("ascii")}


def _cell(value: object) -> str:
    plain = _plain(value)
    if plain is None:
        return ""
    text = plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)
    # EXPLAIN draws over several lines; everything else stays on one.
    if "\n" in text and "┌" in text:
        return text
    text = text.replace("\n", " ")
    return text if len(text) <= _MAX_CELL else text[: _MAX_CELL - 1] + "…"


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
