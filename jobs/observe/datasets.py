"""What lineage says of the data of a run: what it read, and the rows it wrote of each table."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import duckdb

from schemas.tables import TABLES
from transforms.sources.files import InputFile, file_digest
from transforms.warehouse.connection import METADATA, Warehouse
from transforms.warehouse.errors import WarehouseError

FILE_NAMESPACE = "file"
_LOCAL = "file://"
_ADDRESS = re.compile(r"(rediss?|kafka)://", re.IGNORECASE)
_STREAM = "stream="


@dataclass(frozen=True)
class Input:
    """A file or live source.

    Attributes:
        namespace: where its name counts: `file`, or scheme and host of a source.
        name: path, or name of the source there.
        size: bytes; None where not known.
        digest: hash of the bytes; None where not known.
    """

    namespace: str
    name: str
    size: int | None = None
    digest: str | None = None


@dataclass(frozen=True)
class Written:
    """A table that a run has written to, and how many rows (those that replace others count)."""

    table: str
    rows: int


def file_inputs(files: list[InputFile]) -> list[Input]:
    """Input files with their hash; reads every file once more."""
    return [
        Input(FILE_NAMESPACE, str(Path(f.path).resolve()), f.size, file_digest(f.path))
        for f in files
    ]


def source_input(uri: str) -> Input:
    """A live source; of an address only servers, path and stream keys: options hold secrets."""
    if uri.lower().startswith(_LOCAL):
        return source_input(unquote("/" + uri.split("://", 1)[1].partition("/")[2]))
    if not _ADDRESS.match(uri):
        return Input(FILE_NAMESPACE, str(Path(uri).resolve()))
    parts = urlsplit(uri)
    keys = "&".join(part for part in parts.query.split("&") if part.startswith(_STREAM))
    name = "?".join(part for part in (parts.path.strip("/"), keys) if part)
    # Not `hostname` and `port`: Kafka has several servers.
    servers = parts.netloc.rpartition("@")[2].lower()
    return Input(f"{parts.scheme}://{servers}", name or parts.scheme)


def written_so_far(warehouse: Warehouse) -> dict[str, int]:
    """Rows ever inserted, by table: one look at the catalog, whatever the size of the tables."""
    try:
        found = warehouse.rows(
            f"SELECT t.table_name, s.next_row_id FROM {METADATA}.ducklake_table t "
            f"JOIN {METADATA}.ducklake_table_stats s USING (table_id) WHERE t.end_snapshot IS NULL"
        )
    except (duckdb.Error, WarehouseError):  # Lineage is no reason to fail.
        return {}
    return {str(name): int(rows or 0) for name, rows in found if name in TABLES}


def written_since(before: Mapping[str, int], after: Mapping[str, int]) -> list[Written]:
    """What came between two counts, in the order of the registry."""
    added = {name: after.get(name, 0) - before.get(name, 0) for name in TABLES}
    return [Written(name, rows) for name, rows in added.items() if rows > 0]
