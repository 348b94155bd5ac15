"""What a warehouse needs of the place of its catalog, and of the place of its Parquet.

`connection`, `erasure` and `maintenance` know these two protocols and no backend.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import duckdb

from transforms.warehouse.catalog_sqlite import SqliteCatalog
from transforms.warehouse.data_local import LocalData
from transforms.warehouse.identity import LOCATION_FILE, ensure_identity, identity_of
from transforms.warehouse.lock import WriteLock

if TYPE_CHECKING:
    from transforms.warehouse.location import Location


class CatalogStore(Protocol):
    """Where the DuckLake catalog is."""

    @property
    def extensions(self) -> tuple[str, ...]:
        """DuckDB extensions needed beyond those of every warehouse."""
        ...

    @property
    def where(self) -> Path | str:
        """The place, for errors; without secrets."""
        ...

    @property
    def lost(self) -> str:
        """What to do when it cannot be opened."""
        ...

    def source(self, read_only: bool) -> tuple[str, list[str]]:
        """What DuckLake attaches, after `ducklake:`, and further options of ATTACH."""
        ...

    def lock(self) -> WriteLock:
        """The write lock, not yet acquired."""
        ...

    def claim(self, identity: str) -> None:
        """Make it ours if it is nobody's; WarehouseError: another's, or not to be reached."""
        ...

    def check(self, identity: str) -> None:
        """WarehouseError unless it is ours."""
        ...

    def scrub(self, wait_ms: int) -> None:
        """Rewrite it without what was deleted, while DuckDB has let go of it.

        WarehouseError: a reader is in the way, after `wait_ms`.
        """
        ...

    def outside_bytes(self) -> int:
        """What it takes outside the folder of the warehouse."""
        ...

    def close(self) -> None:
        """Let go of copies and connections."""
        ...


class DataStore(Protocol):
    """Where the Parquet files are."""

    @property
    def extensions(self) -> tuple[str, ...]:
        """DuckDB extensions needed to reach it."""
        ...

    @property
    def uri(self) -> str:
        """A folder, or s3://BUCKET/..., as DuckDB takes it; without a slash at the end."""
        ...

    @property
    def folder(self) -> Path:
        """The folder; WarehouseError where it is not one."""
        ...

    def admit(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Let a DuckDB connection reach it; WarehouseError: a secret is missing."""
        ...

    def claim(self, identity: str) -> None:
        """Make it ours if it is nobody's; WarehouseError: another's, or not to be reached."""
        ...

    def file_names(self) -> set[str]:
        """Names, without folders, of all Parquet files that are there.

        Others are not ours, e.g. what a file manager leaves: nothing is to fail for them.
        """
        ...

    def scrub(self) -> None:
        """Remove what deleted files have left, e.g. older versions; WarehouseError: it cannot."""
        ...

    def outside_bytes(self) -> int:
        """What it takes outside the folder of the warehouse."""
        ...


@dataclass(frozen=True)
class Stores:
    """Both places of a warehouse.

    Attributes:
        kinds: `catalog: postgres` and `data: s3`, where they are outside the folder.
        variables: environment variables that a process needs to open it, see `Location`.
    """

    folder: Path
    catalog: CatalogStore
    data: DataStore
    kinds: Mapping[str, str] = field(default_factory=dict[str, str])
    variables: tuple[str, ...] = ()

    def claim(self) -> None:
        """For a writer that has the lock: make sure that what is outside is this folder's.

        WarehouseError: it is another's, or cannot be reached.
        """
        if self.kinds:
            identity = ensure_identity(self.folder)
            self.catalog.claim(identity)
            self.data.claim(identity)

    def check(self) -> None:
        """For a reader: the same, without writing anything; looks at the catalog only."""
        if self.kinds:
            self.catalog.check(identity_of(self.folder))

    def outside_bytes(self) -> int:
        """What the warehouse takes outside its folder; lists the bucket."""
        return self.catalog.outside_bytes() + self.data.outside_bytes()


def stores_of(folder: Path) -> Stores:
    """Catalog and data of the warehouse in `folder`, as warehouse.yaml says; opens nothing.

    WarehouseError: the file is wrong, a package is missing.
    """
    if not (folder / LOCATION_FILE).exists():
        return Stores(folder, SqliteCatalog(folder), LocalData(folder))
    from transforms.warehouse.location import load_location  # noqa: PLC0415 - pydantic, yaml

    location = load_location(folder)
    return Stores(
        folder,
        _catalog_of(folder, location),
        _data_of(folder, location),
        location.kinds,
        location.variables,
    )


def _catalog_of(folder: Path, location: "Location") -> CatalogStore:
    if not location.in_postgres:
        return SqliteCatalog(folder)
    from transforms.warehouse.catalog_postgres import PostgresCatalog  # noqa: PLC0415
    from transforms.warehouse.postgres import PostgresAddress  # noqa: PLC0415

    return PostgresCatalog(PostgresAddress(location.words, folder / LOCATION_FILE), folder)


def _data_of(folder: Path, location: "Location") -> DataStore:
    if not location.in_s3:
        return LocalData(folder)
    from transforms.warehouse.data_s3 import S3Data  # noqa: PLC0415

    return S3Data(location.data, location.s3_settings, folder)
