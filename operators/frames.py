"""Arrow tables in, Arrow tables out: the few moves that every table operator shares.

Timestamps are handled as integers (microseconds since 1970, UTC): exact, fast, and free of
time zones. Rows leave in the order of the table's primary key, so that equal content is
equal bytes whatever order it came in.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from operators.base import Tables
from schemas.tables import TABLES, TIMESTAMP

SCOPE = ("tenant", "conversation_id")
MESSAGE_ORDER = ("timestamp", "seq", "message_id")
FACT_ORDER = ("event_time", "seq", "message_id", "ordinal", "fact_id")


def need(tables: Tables, name: str, step: str) -> pa.Table:
    """The table `name`, or a `KeyError` that says which step wants it."""
    if name not in tables:
        given = ", ".join(sorted(tables)) or "none"
        raise KeyError(f"{step} reads the table {name!r}, which no earlier step gave ({given})")
    return tables[name]


def values(table: pa.Table, column: str) -> list[Any]:
    """A column as Python values; timestamps as microseconds."""
    data = table.column(column)
    if pa.types.is_timestamp(data.type):
        data = data.cast(TIMESTAMP).cast(pa.int64())
    return data.to_pylist()


def day(micros: int) -> str:
    """The UTC date of a timestamp, such as `2024-03-01`."""
    return datetime.fromtimestamp(micros // 1_000_000, tz=UTC).date().isoformat()


def groups(
    table: pa.Table, keys: Sequence[str], order: Sequence[str]
) -> dict[tuple[Any, ...], list[int]]:
    """Row numbers by the values of `keys`, each group sorted by `order`."""
    rows: list[Any] = pc.sort_indices(table, sort_keys=_ascending(*keys, *order)).to_pylist()
    names = list(zip(*(table.column(key).to_pylist() for key in keys), strict=True))
    out: dict[tuple[Any, ...], list[int]] = {}
    for row in rows:
        out.setdefault(names[row], []).append(row)
    return out


def build(name: str, columns: Mapping[str, Sequence[Any]]) -> pa.Table:
    """A table of the registry from Python columns, in canonical row order."""
    schema = TABLES[name].schema
    arrays = [_array(columns[field.name], field.type) for field in schema]
    return _canonical(name, pa.Table.from_arrays(arrays, schema=schema))


def from_rows(name: str, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """A table of the registry from row mappings that name every column."""
    names = TABLES[name].schema.names
    return build(name, {column: [row[column] for row in rows] for column in names})


def replace(name: str, table: pa.Table, columns: Mapping[str, Sequence[Any]]) -> pa.Table:
    """The same rows with some columns replaced, in the registry's columns and row order."""
    arrays: list[Any] = []
    schema = TABLES[name].schema
    for field in schema:
        if field.name in columns:
            arrays.append(_array(columns[field.name], field.type))
        else:
            arrays.append(table.column(field.name).cast(field.type))
    return _canonical(name, pa.Table.from_arrays(arrays, schema=schema))


def _array(column: Sequence[Any], type_: pa.DataType) -> "pa.Array[Any]":
    if pa.types.is_timestamp(type_):
        return pa.array(column, pa.int64()).cast(type_)
    return pa.array(column, type_)


def _canonical(name: str, table: pa.Table) -> pa.Table:
    order = _ascending(*TABLES[name].key)
    return table.take(pc.sort_indices(table, sort_keys=order)).combine_chunks()


def _ascending(*names: str) -> list[tuple[str, Literal["ascending"]]]:
    return [(name, "ascending") for name in names]
