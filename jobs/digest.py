"""`memoryflow digest`: what a warehouse holds, as row counts and hashes.

Two warehouses have equal digests if and only if every memory table has the same rows, in
whatever order and files. Bookkeeping tables and columns stay out.

Method: SHA-256 of an unambiguous encoding of each row (values delimited, null apart from
empty), summed modulo 2^256, so that no order and no sorting is involved; the sum and the
row count are hashed again with the column names. Memory use does not grow with the table.
"""

import hashlib
import json
from typing import Any, TypedDict, cast

import numpy as np
import pyarrow as pa

from schemas.tables import TABLES, VECTOR, Column, Table
from transforms.warehouse.catalog import quoted
from transforms.warehouse.connection import Warehouse
from transforms.warehouse.retry import with_retry

_BATCH_ROWS = 50_000
_MODULUS = 1 << 256


class TableDigest(TypedDict):
    """Row count and hash of one table."""

    rows: int
    sha256: str


class Digest(TypedDict):
    """Digest of every content table, and one over all of them."""

    digest: str
    tables: dict[str, TableDigest]


def digest(warehouse: Warehouse) -> Digest:
    """Digest of all content tables of the registry, of one snapshot."""
    version = warehouse.current_snapshot()
    tables = {
        name: with_retry(lambda table=table: _table_digest(warehouse, table, version))
        for name, table in TABLES.items()
        if not table.bookkeeping
    }
    return {"digest": _sha256(json.dumps(tables, sort_keys=True).encode()), "tables": tables}


def _table_digest(warehouse: Warehouse, table: Table, version: int) -> TableDigest:
    columns = [c for c in table.columns if not c.bookkeeping]
    vectors = [c for c in columns if c.type == VECTOR]
    encoded = " || ".join(_encode(c) for c in columns if c not in vectors)
    source = f"FROM {quoted(table.name)} AT (VERSION => {version})"
    if vectors:
        names = ", ".join(quoted(c.name) for c in vectors)
        sql = f"SELECT encode({encoded}) AS encoded, {names} {source}"
    else:
        sql = f"SELECT unhex(sha256({encoded})) AS hash {source}"
    rows, total = 0, 0
    for batch in warehouse.connection.execute(sql).to_arrow_reader(_BATCH_ROWS):
        hashes = _vector_hashes(batch) if vectors else _binary_bytes(batch.column(0))
        total += _sum(hashes)
        rows += batch.num_rows
    header = json.dumps([table.name, [c.name for c in columns], rows, total % _MODULUS])
    return {"rows": rows, "sha256": _sha256(header.encode())}


def _encode(column: Column) -> str:
    """SQL text of a value that no other value, and no null, shares; self-delimiting."""
    name = quoted(column.name)
    if isinstance(column.type, pa.ListType):
        return f"CASE WHEN {name} IS NULL THEN 'n' ELSE to_json({name})::VARCHAR END"
    if pa.types.is_string(column.type):
        return f"coalesce(strlen({name}) || ':' || {name}, 'n')"
    if pa.types.is_timestamp(column.type):
        return f"coalesce(epoch_us({name}) || ';', 'n')"
    if pa.types.is_binary(column.type):
        return f"coalesce(hex({name}) || ';', 'n')"
    # DuckDB prints floats in the shortest form that reads back to the same bits.
    return f"coalesce({name}::VARCHAR || ';', 'n')"


def _vector_hashes(batch: pa.RecordBatch) -> bytes:
    """One SHA-256 per row over the encoded scalars and the vectors' own bytes."""
    states = [hashlib.sha256(text) for text in cast("list[bytes]", batch.column(0).to_pylist())]
    for index in range(1, batch.num_columns):
        column = cast("pa.ListArray[Any]", batch.column(index))
        offsets = column.offsets.to_numpy()
        # Python cuts the bytes: formatting 77 million floats as text would take minutes.
        data = np.ascontiguousarray(column.values.to_numpy(zero_copy_only=False)).tobytes()
        for row, state in enumerate(states):
            start, end = int(offsets[row]) * 4, int(offsets[row + 1]) * 4
            tag = b"v%d:" % (end - start) if column[row].is_valid else b"n"
            state.update(tag)
            state.update(data[start:end])
    return b"".join(state.digest() for state in states)


def _binary_bytes(column: "pa.Array[Any]") -> bytes:
    return b"".join(cast("list[bytes]", column.to_pylist()))


def _sum(hashes: bytes) -> int:
    """Sum of big-endian 256-bit numbers: per 32-bit limb in 64 bits, then carried in Python."""
    limbs = np.frombuffer(hashes, dtype=">u4").reshape(-1, 8).sum(axis=0, dtype=np.uint64)
    total = 0
    for limb in limbs.tolist():
        total = (total << 32) + limb
    return total


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
