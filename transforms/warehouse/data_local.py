"""The Parquet files in DIR/data: the default, on a disk or a mounted share."""

from pathlib import Path

import duckdb

DATA_DIR = "data"


class LocalData:
    """A `DataStore`."""

    extensions: tuple[str, ...] = ()

    def __init__(self, folder: Path) -> None:
        self.folder = folder / DATA_DIR

    @property
    def uri(self) -> str:
        """The folder."""
        return str(self.folder)

    def admit(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Files need no admission."""

    def claim(self, identity: str) -> None:
        """A folder of the folder belongs to the folder."""

    def file_names(self) -> set[str]:
        """See `DataStore`."""
        return {file.name for file in self.folder.rglob("*.parquet") if file.is_file()}

    def scrub(self) -> None:
        """A file that is removed is gone, as far as the file system goes."""

    def outside_bytes(self) -> int:
        """It is in the folder."""
        return 0
