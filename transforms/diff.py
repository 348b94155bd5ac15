"""The difference between recorded rows and computed rows, as changes to commit."""

from collections.abc import Iterable

import polars as pl
import pyarrow as pa

from schemas.tables import TABLES
from transforms.frame import SCOPE, to_polars
from transforms.warehouse.commit import ChangeSet


def difference(name: str, existing: pa.Table, computed: pa.Table) -> ChangeSet:
    """What turns `existing` into `computed`; both hold whole conversations.

    A changed row is deleted by its key and inserted anew. Bookkeeping columns do not make a
    row changed: who first reported a dead letter, or how long a call took, is kept.
    """
    if existing.num_rows == 0 or computed.num_rows == 0:
        return ChangeSet(name, _keys(name, existing), computed)
    old, new = _comparable(name, existing), _comparable(name, computed)
    same = old.join(new, on=["_key", "_content"], how="inner")
    gone = old.join(same, on="_key", how="anti").get_column("_row").sort()
    come = new.join(same, on="_key", how="anti").get_column("_row").sort()
    return ChangeSet(
        name, _keys(name, existing).take(gone.to_arrow()), computed.take(come.to_arrow())
    )


def merged(changes: Iterable[ChangeSet]) -> list[ChangeSet]:
    """Changes of several slices as one per table: one file per table and commit."""
    by_table: dict[str, list[ChangeSet]] = {}
    for change in changes:
        by_table.setdefault(change.table, []).append(change)
    return [_merged(name, parts) for name, parts in sorted(by_table.items())]


def _merged(name: str, parts: list[ChangeSet]) -> ChangeSet:
    deletes = [part.deletes for part in parts if part.deletes is not None]
    inserts = [part.inserts for part in parts if part.inserts is not None]
    return ChangeSet(
        name,
        pa.concat_tables(deletes) if deletes else None,
        pa.concat_tables(inserts) if inserts else None,
        keep_first=any(part.keep_first for part in parts),
        staged=tuple(file for part in parts for file in part.staged),
    )


def _keys(name: str, rows: pa.Table) -> pa.Table:
    """The primary key, with the scope, by which files are pruned."""
    table = TABLES[name]
    scope = SCOPE if table.per_conversation else ()
    return rows.select(list(dict.fromkeys([*scope, *table.key])))


def _comparable(name: str, table: pa.Table) -> pl.DataFrame:
    """Row number, key and content of each row; equal content, equal row.

    Vectors are left out: a vector is a function of its text and model, which are the key.
    """
    spec = TABLES[name]
    content = [c for c in spec.content_columns if c not in spec.key and c != "vector"]
    frame = to_polars(table.select([*spec.key, *content]))
    return frame.select(
        pl.int_range(pl.len()).alias("_row"),
        pl.struct(spec.key).struct.json_encode().alias("_key"),
        (pl.struct(content).struct.json_encode() if content else pl.lit("")).alias("_content"),
    )
